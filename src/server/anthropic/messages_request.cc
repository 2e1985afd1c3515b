#include "server/anthropic/messages_request.h"

#include <algorithm>

#include "api/sampling_fields.h"
#include "core/json_fields.h"
#include "server/api_error.h"
#include "server/hosted_request.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

// Read by name below.
constexpr std::string_view kMessagesOwn[] = {
    "model",  "messages",   "system",   "max_tokens", "stop_sequences",
    "stream", "request_id", "priority", "cache_salt", "chat_template_kwargs"};

// What only a hosted service knows, and what is not there yet but may be left out.
constexpr std::string_view kMessagesLeftOut[] = {
    "betas",       "cache_control", "container",       "context_management", "diagnostics", "inference_geo",
    "mcp_servers", "metadata",      "output_config",   "service_tier",       "speed",       "thinking",
    "tool_choice", "tools",         "user_profile_id", "workspace_id"};

constexpr std::string_view kTextTypes[] = {"text"}, kThinkingTypes[] = {"thinking", "redacted_thinking"};
constexpr TextBlocks kBlocks = {.text = kTextTypes, .left_out = kThinkingTypes};

// Sampling fields for which this API has no place in its replies, or another name.
constexpr std::string_view kMessagesNotHere[] = {
    "n", "echo", "logprobs", "top_logprobs", "prompt_logprobs", "max_completion_tokens", "stop"};

// Coding agents put a line into the system prompt that differs with every request.
constexpr std::string_view kBillingLine = "x-anthropic-billing-header:";

std::string without_billing_lines(const std::string& text) {
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (!std::string_view(text).substr(at).starts_with(kBillingLine)) kept.append(text, at, end - at);
    at = end;
  }
  return kept;
}

// A block of which nothing is left is none.
std::string system_text(const Json& system, const std::string& name, std::vector<std::string>& left_out) {
  if (!system.is_array()) return without_billing_lines(content_text(system, name, kBlocks, &left_out));
  std::string text;
  for (const JsonValue& block : JsonValue(system, name).items()) {
    const std::string said =
        without_billing_lines(content_text(Json::array({block.json()}), block.name(), kBlocks, &left_out));
    if (said.empty()) continue;
    if (!text.empty()) text.push_back('\n');
    text += said;
  }
  return text;
}

// Turns of one role in a row are one, as this API has it.
Json conversation(const JsonFields& fields, std::vector<std::string>& left_out) {
  Json messages = Json::array();
  if (const Json* system = fields.find("system")) {
    const std::string text = system_text(*system, "[system]", left_out);
    if (!text.empty()) append_turn(messages, "system", text);
  }
  const JsonValue list = fields.at("messages");
  if (!list.json().is_array() || list.json().empty()) list.fail("a list of at least one message");
  for (const JsonValue& item : list.items()) {
    const JsonFields message = item.fields();
    const std::string here = message.at("role").string();
    if (here != "user" && here != "assistant" && here != "system")
      message.at("role").fail("user, assistant or system");
    for (const auto& [key, unused] : item.json().items())
      if (key != "role" && key != "content") leave_out(left_out, key);
    const JsonValue content = message.at("content");
    append_turn(messages, here,
                here == "system" ? system_text(content.json(), content.name(), left_out)
                                 : content_text(content.json(), content.name(), kBlocks, &left_out));
  }
  return messages;
}

// Values that would change the reply are no matter of leaving out.
void check_left_out(const std::string& name, const JsonValue& value) {
  if (name == "thinking" && value.fields().string("type") == "enabled")
    throw ApiError(400, "[thinking] is not served by this version; send {\"type\": \"disabled\"}",
                   "unsupported_field", name);
  if (name == "output_config" && value.fields().has("format"))
    throw ApiError(400, "[output_config] format is not served by this version; leave it out",
                   "unsupported_field", name);
}

void set_stop(Sampling& sampling, const Json& value) {
  const auto fields = api::sampling_fields();
  const auto stop = std::ranges::find(fields, std::string_view("stop"), &api::SamplingField::name);
  api::set_field(*stop, sampling, value, "stop_sequences");
}

constexpr HostedFields kMessagesFields = {.own = kMessagesOwn,
                                          .left_out = kMessagesLeftOut,
                                          .not_here = kMessagesNotHere,
                                          .check_left_out = check_left_out};

}  // namespace

GenerationRequest parse_messages_request(const HttpRequest& http, const Sampling& defaults, MessagesUse use) {
  const Json body = parse_body(http.body);
  const JsonFields fields(body, "body", FieldNames::request);
  GenerationRequest request;
  Sampling sampling = defaults;
  if (!http.field("anthropic-beta").empty()) leave_out(request.ignored, "betas");
  read_hosted_fields(body, kMessagesFields, sampling, request.ignored);
  request.model = fields.string("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  if (fields.has("request_id")) request.request_id = parse_request_id(fields.at("request_id"));
  if (fields.has("max_tokens"))
    sampling.max_tokens = static_cast<int>(fields.at("max_tokens").integer(1, INT32_MAX));
  else if (use == MessagesUse::generate)
    throw ApiError(400, "[max_tokens] is missing: the most tokens that the reply may have", "missing_field",
                   "max_tokens");
  if (const Json* stop = fields.find("stop_sequences")) set_stop(sampling, *stop);
  set_conversation(request, conversation(fields, request.ignored), "messages", fields, sampling);
  return request;
}

Json messages_schema() {
  Json schema = hosted_schema(kMessagesFields, parse_json(R"({
    "model": {"type": "string", "description": "one of /v1/models; absent: the one that is served"},
    "messages": {"type": "array", "minItems": 1, "description": "the conversation", "items": {
      "type": "object", "required": ["role", "content"], "properties": {
        "role": {"enum": ["user", "assistant", "system"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [
          {"type": "object", "required": ["type", "text"], "properties": {"type": {"const": "text"}, "text": {"type": "string"}}},
          {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["thinking", "redacted_thinking"]}}}]}}]}}}},
    "system": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}], "description": "the system prompt"},
    "max_tokens": {"type": "integer", "minimum": 1, "maximum": 2147483647, "description": "required but for count_tokens"},
    "stop_sequences": {"type": "array", "items": {"type": "string"}, "maxItems": 128},
    "stream": {"type": "boolean", "default": false, "description": "send tokens as they are made"},
    "priority": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647, "default": 0, "description": "smaller ones are admitted first and preempted last"},
    "cache_salt": {"type": "string", "maxLength": 256, "description": "only requests with the same one share cached prefixes"},
    "chat_template_kwargs": {"type": "object", "description": "further variables of the chat template"},
    "request_id": {"type": "string", "maxLength": 128, "description": "name of this request in replies and logs"}
  })",
                                                          "schema"));
  schema["required"] = {"messages"};
  return schema;
}

}  // namespace reprise::server

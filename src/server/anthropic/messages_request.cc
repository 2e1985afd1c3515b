#include "server/anthropic/messages_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "api/chat_fields.h"
#include "api/sampling_check.h"
#include "api/sampling_fields.h"
#include "core/json_fields.h"
#include "core/nearest.h"
#include "server/api_error.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

// Read by name below.
constexpr std::string_view kOwnFields[] = {"model",      "messages",       "system",
                                           "max_tokens", "stop_sequences", "stream",
                                           "request_id", "priority",       "chat_template_kwargs"};

// What only a hosted service knows, and what is not there yet but may be left out.
constexpr std::string_view kLeftOut[] = {
    "betas",       "cache_control", "container",       "context_management", "diagnostics", "inference_geo",
    "mcp_servers", "metadata",      "output_config",   "service_tier",       "speed",       "thinking",
    "tool_choice", "tools",         "user_profile_id", "workspace_id"};

// Sampling fields for which this API has no place in its replies, or another name.
constexpr std::string_view kNotHere[] = {
    "n", "echo", "logprobs", "top_logprobs", "prompt_logprobs", "max_completion_tokens", "stop"};

// Coding agents put a line into the system prompt that differs with every request.
constexpr std::string_view kBillingLine = "x-anthropic-billing-header:";

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

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
  if (!system.is_array()) return without_billing_lines(content_text(system, name, &left_out));
  std::string text;
  for (const JsonValue& block : JsonValue(system, name).items()) {
    const std::string said =
        without_billing_lines(content_text(Json::array({block.json()}), block.name(), &left_out));
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
    if (!text.empty()) messages.push_back({{"role", "system"}, {"content", text}});
  }
  const JsonValue list = fields.at("messages");
  if (!list.json().is_array() || list.json().empty()) list.fail("a list of at least one message");
  std::string role;
  for (const JsonValue& item : list.items()) {
    const JsonFields message = item.fields();
    const std::string here = message.at("role").string();
    if (here != "user" && here != "assistant" && here != "system")
      message.at("role").fail("user, assistant or system");
    for (const auto& [key, unused] : item.json().items())
      if (key != "role" && key != "content") leave_out(left_out, key);
    const JsonValue content = message.at("content");
    std::string text = here == "system" ? system_text(content.json(), content.name(), left_out)
                                        : content_text(content.json(), content.name(), &left_out);
    if (here == role)
      messages.back()["content"].get_ref<std::string&>().append("\n").append(text);
    else
      messages.push_back({{"role", here}, {"content", std::move(text)}});
    role = here;
  }
  if (role == "assistant")
    throw ApiError(
        400,
        "[messages] ends with what the assistant said, and this version can't go on with that; end with "
        "a message of the user",
        "unsupported_field", "messages");
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
  api::set_field(*stop, sampling, value, "[stop_sequences]");
}

[[noreturn]] void fail_unknown(const std::string& name) {
  std::vector<std::string_view> known(std::begin(kOwnFields), std::end(kOwnFields));
  known.insert(known.end(), std::begin(kLeftOut), std::end(kLeftOut));
  for (const api::SamplingField& field : api::sampling_fields())
    if (!is_one_of(kNotHere, field.name)) known.emplace_back(field.name);
  const std::string shown = name.substr(0, 80);
  const std::string_view near = nearest_name(shown, known);
  throw ApiError(400,
                 fmt::format("[{}] is no field of this endpoint{}", shown,
                             near.empty() ? std::string() : fmt::format("; did you mean {}?", near)),
                 "unknown_field", shown);
}

}  // namespace

GenerationRequest parse_messages_request(const HttpRequest& http, const Sampling& defaults, MessagesUse use) {
  const Json body = parse_body(http.body);
  const JsonFields fields(body, "body", FieldNames::request);
  GenerationRequest request;
  request.endpoint = Endpoint::messages;
  Sampling sampling = defaults;
  if (!http.field("anthropic-beta").empty()) leave_out(request.ignored, "betas");
  for (const auto& [name, value] : body.items()) {
    if (is_one_of(kOwnFields, name)) continue;
    if (is_one_of(kLeftOut, name)) {
      if (value.is_null()) continue;
      check_left_out(name, JsonValue(value, "[" + name + "]"));
      leave_out(request.ignored, name);
    } else if (is_one_of(kNotHere, name) || !api::set_sampling_field(sampling, name, value)) {
      fail_unknown(name);
    }
  }
  request.model = fields.string("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  if (fields.has("request_id")) request.request_id = parse_request_id(fields.at("request_id"));
  if (fields.has("priority")) request.priority = parse_priority(fields.at("priority"));
  if (fields.has("max_tokens"))
    sampling.max_tokens = static_cast<int>(fields.at("max_tokens").integer(1, INT32_MAX));
  else if (use == MessagesUse::generate)
    throw ApiError(400, "[max_tokens] is missing: the most tokens that the reply may have", "missing_field",
                   "max_tokens");
  if (const Json* stop = fields.find("stop_sequences")) set_stop(sampling, *stop);
  Json chat = {{"messages", conversation(fields, request.ignored)}};
  if (const Json* kwargs = fields.find("chat_template_kwargs")) chat["chat_template_kwargs"] = *kwargs;
  api::check_sampling(sampling);
  Prompt& prompt = request.prompts.emplace_back();
  api::set_chat(prompt, api::parse_chat_request(chat, true));
  prompt.sampling = sampling;
  return request;
}

}  // namespace reprise::server

#include "server/responses/responses_request.h"

#include <fmt/format.h>

#include <cstdlib>

#include "api/sampling_check.h"
#include "core/json_fields.h"
#include "server/api_error.h"
#include "server/hosted_request.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

// Read by name below; the last two lines are taken and change nothing here.
constexpr std::string_view kResponsesOwn[] = {"model",
                                              "input",
                                              "instructions",
                                              "max_output_tokens",
                                              "include",
                                              "top_logprobs",
                                              "stream",
                                              "stream_options",
                                              "metadata",
                                              "truncation",
                                              "text",
                                              "background",
                                              "conversation",
                                              "prompt",
                                              "previous_response_id",
                                              "priority",
                                              "cache_salt",
                                              "chat_template_kwargs",
                                              "request_id",
                                              "store",
                                              "user",
                                              "service_tier",
                                              "prompt_cache_key",
                                              "prompt_cache_retention",
                                              "safety_identifier"};

// What only a hosted service knows, and what is not there yet but may be left out.
constexpr std::string_view kResponsesLeftOut[] = {"tools",
                                                  "tool_choice",
                                                  "parallel_tool_calls",
                                                  "reasoning",
                                                  "max_tool_calls",
                                                  "context_management",
                                                  "moderation",
                                                  "client_metadata",
                                                  "access_programs",
                                                  "background_options",
                                                  "image",
                                                  "personality",
                                                  "prompt_cache_options"};

// Sampling fields for which this API has no place in its replies, or another name.
constexpr std::string_view kResponsesNotHere[] = {
    "n", "echo", "logprobs", "prompt_logprobs", "max_tokens", "max_completion_tokens"};

constexpr HostedFields kResponsesFields = {.own = kResponsesOwn,
                                           .left_out = kResponsesLeftOut,
                                           .not_here = kResponsesNotHere,
                                           .check_left_out = [](const std::string&, const JsonValue&) {}};

// A part of a reply of ours may come back with all its fields.
constexpr std::string_view kTextParts[] = {"input_text", "output_text", "text"};
constexpr std::string_view kQuietFields[] = {"annotations", "logprobs"};
constexpr TextBlocks kParts = {.text = kTextParts, .quiet = kQuietFields};
constexpr std::string_view kItemFields[] = {"type", "role", "content", "id", "status", "phase"};

constexpr std::string_view kLogprobs = "message.output_text.logprobs";

// [metadata] as OpenAI's API has it.
constexpr size_t kMostPairs = 16, kMostKeyBytes = 64, kMostValueBytes = 512;

[[noreturn]] void refuse(const std::string& field, const std::string& why) {
  throw ApiError(400, fmt::format("[{}] {}", field, why), "unsupported_field", field);
}

// What needs a server that keeps replies, or prompts.
void check_stateless(const JsonFields& fields) {
  if (fields.has("previous_response_id"))
    refuse("previous_response_id",
           "names a reply, and this server keeps none; send the whole conversation in [input]");
  if (fields.has("conversation"))
    refuse("conversation", "names one that is kept, and this server keeps none; send it in [input]");
  if (fields.has("prompt"))
    refuse("prompt", "names a template that is kept, and this server keeps none; write it into [input]");
  if (fields.boolean("background").value_or(false))
    refuse("background", "is true, and this server keeps no replies to be fetched later; leave it out");
}

void check_text(const JsonFields& fields, std::vector<std::string>& left_out) {
  const auto text = fields.value("text");
  if (!text) return;
  const JsonFields members = text->fields();
  for (const auto& [key, value] : text->json().items())
    if (key != "format" && !value.is_null()) leave_out(left_out, "text." + key);
  if (const auto format = members.value("format"))
    if (const std::string type = format->fields().at("type").string(); type != "text")
      throw ApiError(400,
                     fmt::format("[text.format] is of type {}, and only {{\"type\": \"text\"}} is served by "
                                 "this version",
                                 short_json_text(type)),
                     "unsupported_field", "text.format");
}

void check_stream_options(const JsonFields& fields) {
  if (const auto options = fields.value("stream_options"))
    options->fields().refuse_unknown(std::vector<std::string_view>{"include_obfuscation"}, "field");
}

// A prompt that is too long is refused either way, so nothing is cut without a word.
void check_truncation(const JsonFields& fields, std::vector<std::string>& left_out) {
  const std::string truncation = fields.string("truncation").value_or("disabled");
  if (truncation == "auto")
    leave_out(left_out, "truncation");
  else if (truncation != "disabled")
    fields.at("truncation").fail("disabled or auto");
}

Json metadata_of(const JsonFields& fields) {
  const auto metadata = fields.value("metadata");
  if (!metadata) return Json::object();
  if (!metadata->json().is_object() || metadata->json().size() > kMostPairs)
    metadata->fail(fmt::format("an object of at most {} texts", kMostPairs));
  for (const auto& [key, value] : metadata->json().items())
    if (key.size() > kMostKeyBytes || !value.is_string() ||
        value.get_ref<const std::string&>().size() > kMostValueBytes)
      throw ApiError(
          400,
          fmt::format("[metadata] has {}: {}, expected names of at most {} bytes and texts of at "
                      "most {}",
                      short_json_text(key), short_json_text(value), kMostKeyBytes, kMostValueBytes),
          "invalid_value", "metadata");
  return metadata->json();
}

// Whether the reply carries log-probabilities.
bool asks_for_logprobs(const JsonFields& fields, std::vector<std::string>& left_out) {
  bool found = false;
  if (const auto include = fields.value("include")) {
    if (!include->json().is_array()) include->fail("a list of texts");
    for (const JsonValue& item : include->items()) {
      if (item.string() == kLogprobs)
        found = true;
      else
        leave_out(left_out, "include." + item.string());
    }
  }
  return found;
}

void set_logprobs(const JsonFields& fields, GenerationRequest& request, Sampling& sampling) {
  request.wants_logprobs = asks_for_logprobs(fields, request.ignored);
  const int64_t top = fields.integer("top_logprobs", 0, INT32_MAX).value_or(0);
  if (request.wants_logprobs)
    sampling.logprobs = static_cast<int>(top);
  else if (top > 0)
    throw ApiError(400, fmt::format("[top_logprobs] needs \"include\": [\"{}\"]", kLogprobs), "invalid_value",
                   "top_logprobs");
}

void add_message(Json& messages, const JsonValue& item, std::vector<std::string>& left_out) {
  const JsonFields message = item.fields();
  const std::string role = message.at("role").string();
  if (role != "user" && role != "assistant" && role != "system" && role != "developer")
    message.at("role").fail("user, assistant, system or developer");
  for (const auto& [key, value] : item.json().items())
    if (!is_among(kItemFields, key) && !value.is_null()) leave_out(left_out, key);
  const JsonValue content = message.at("content");
  append_turn(messages, role == "developer" ? "system" : role,
              content_text(content.json(), content.name(), kParts, &left_out));
}

Json conversation_of(const JsonFields& fields, std::vector<std::string>& left_out) {
  Json messages = Json::array();
  const auto instructions = fields.string("instructions");
  if (instructions && !instructions->empty()) append_turn(messages, "system", *instructions);
  const JsonValue input = fields.at("input");
  if (input.json().is_string()) {
    append_turn(messages, "user", input.string());
    return messages;
  }
  if (!input.json().is_array() || input.json().empty()) input.fail("a text, or a list of at least one item");
  if (input.json().size() >= api::kMaxMessages)
    throw ApiError(400,
                   fmt::format("[input] has {} items, fewer than {} are served; shorten it",
                               input.json().size(), api::kMaxMessages),
                   "invalid_value", "input");
  for (const JsonValue& item : input.items()) {
    const std::string type = item.fields().string("type").value_or("message");
    if (type == "message")
      add_message(messages, item, left_out);
    else if (type == "reasoning" || type == "additional_tools")
      leave_out(left_out, type);
    else
      throw ApiError(400,
                     fmt::format("{} is of type {}, expected message; this version reads nothing else",
                                 item.name(), short_json_text(type)),
                     "unsupported_content", "input");
  }
  if (messages.empty()) input.fail("a list with at least one message");
  return messages;
}

// 0.7, not what is left of it in single precision.
double as_written(float value) {
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

// Members of the reply, without the braces of an object.
std::string repeated_text(const JsonFields& fields, const Sampling& sampling) {
  const auto as_sent = [&](std::string_view name) {
    const Json* value = fields.find(name);
    return value == nullptr ? Json() : *value;
  };
  const std::string text = to_json_text({{"background", false},
                                         {"instructions", as_sent("instructions")},
                                         {"max_output_tokens", as_sent("max_output_tokens")},
                                         {"max_tool_calls", nullptr},
                                         {"metadata", metadata_of(fields)},
                                         {"parallel_tool_calls", false},
                                         {"previous_response_id", nullptr},
                                         {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                                         {"service_tier", "default"},
                                         {"store", false},
                                         {"temperature", as_written(sampling.temperature)},
                                         {"text", {{"format", {{"type", "text"}}}}},
                                         {"tool_choice", "none"},
                                         {"tools", Json::array()},
                                         {"top_logprobs", sampling.logprobs.value_or(0)},
                                         {"top_p", as_written(sampling.top_p)},
                                         {"truncation", "disabled"}});
  return text.substr(1, text.size() - 2);
}

}  // namespace

GenerationRequest parse_responses_request(const HttpRequest& http, const Sampling& defaults) {
  const Json body = parse_body(http.body);
  const JsonFields fields(body, "body", FieldNames::request);
  GenerationRequest request;
  Sampling sampling = defaults;
  read_hosted_fields(body, kResponsesFields, sampling, request.ignored);
  check_stateless(fields);
  check_text(fields, request.ignored);
  check_stream_options(fields);
  check_truncation(fields, request.ignored);
  request.model = fields.string("model").value_or("");
  request.stream = fields.boolean("stream").value_or(false);
  if (fields.has("request_id")) request.request_id = parse_request_id(fields.at("request_id"));
  if (fields.has("max_output_tokens"))
    sampling.max_tokens = static_cast<int>(fields.at("max_output_tokens").integer(1, INT32_MAX));
  set_logprobs(fields, request, sampling);
  request.repeated = repeated_text(fields, sampling);
  set_conversation(request, conversation_of(fields, request.ignored), "input", fields, sampling);
  return request;
}

Json responses_schema() {
  return hosted_schema(kResponsesFields, parse_json(R"({
    "model": {"type": "string", "description": "one of /v1/models; absent: the one that is served"},
    "input": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"anyOf": [
                {"type": "object", "required": ["role", "content"], "properties": {
                  "type": {"const": "message"}, "role": {"enum": ["user", "assistant", "system", "developer"]},
                  "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {
                    "type": "object", "required": ["type", "text"],
                    "properties": {"type": {"enum": ["input_text", "output_text", "text"]}, "text": {"type": "string"}}}}]}}},
                {"type": "object", "required": ["type"], "properties": {"type": {"enum": ["reasoning", "additional_tools"]}}}]}}],
              "description": "a text, or the messages of a conversation"},
    "instructions": {"type": "string", "description": "the system prompt"},
    "max_output_tokens": {"type": "integer", "minimum": 1, "maximum": 2147483647},
    "include": {"type": "array", "items": {"type": "string"}, "description": "message.output_text.logprobs: log-probabilities"},
    "top_logprobs": {"type": "integer", "minimum": 0, "description": "how many are listed of each place, with that"},
    "stream": {"type": "boolean", "default": false, "description": "send tokens as they are made"},
    "stream_options": {"type": "object", "properties": {"include_obfuscation": {}}, "additionalProperties": false},
    "metadata": {"type": "object", "maxProperties": 16, "propertyNames": {"maxLength": 64},
                 "additionalProperties": {"type": "string", "maxLength": 512}, "description": "comes back in the reply"},
    "truncation": {"enum": ["disabled", "auto"], "description": "a prompt that is too long is refused either way"},
    "text": {"type": "object", "properties": {"format": {"type": "object", "required": ["type"], "properties": {"type": {"const": "text"}}}}},
    "priority": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647, "default": 0, "description": "smaller ones are admitted first and preempted last"},
    "cache_salt": {"type": "string", "maxLength": 256, "description": "only requests with the same one share cached prefixes"},
    "chat_template_kwargs": {"type": "object", "description": "further variables of the chat template"},
    "request_id": {"type": "string", "maxLength": 128, "description": "name of this request in replies and logs"},
    "background": {"const": false},
    "previous_response_id": {"type": "null", "description": "no replies are kept"},
    "conversation": {"type": "null", "description": "no conversations are kept"},
    "prompt": {"type": "null", "description": "no prompts are kept"},
    "store": {"description": "ignored: no replies are kept"},
    "user": {"description": "ignored"},
    "service_tier": {"description": "ignored"},
    "prompt_cache_key": {"description": "ignored"},
    "prompt_cache_retention": {"description": "ignored"},
    "safety_identifier": {"description": "ignored"}
  })",
                                                    "schema"));
}

}  // namespace reprise::server

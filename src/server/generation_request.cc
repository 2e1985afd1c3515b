#include "server/generation_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "api/chat_fields.h"
#include "api/sampling_check.h"
#include "api/sampling_fields.h"
#include "core/nearest.h"
#include "engine/scheduling/request.h"
#include "server/api_error.h"
#include "server/http/message.h"
#include "server/request_body.h"

namespace reprise::server {
namespace {

constexpr uint8_t kChat = 1, kCompletions = 2, kBoth = 3;

// A field beside the sampling fields.
struct BodyField {
  const char* name;
  uint8_t endpoints;
  const char* schema;  // JSON
  void (*set)(GenerationRequest&, const JsonValue&);
};

void ignore(GenerationRequest&, const JsonValue&) {}

void set_stream_options(GenerationRequest& request, const JsonValue& value) {
  const JsonFields fields = value.fields();
  for (const auto& [name, option] : value.json().items()) {
    if (name == "include_usage")
      request.include_usage = fields.boolean(name).value_or(false);
    else if (name == "continuous_usage_stats")
      request.continuous_usage = fields.boolean(name).value_or(false);
    else if (name != "include_obfuscation")
      throw ApiError(400,
                     fmt::format("[stream_options] has the unknown field '{}'; known are include_usage and "
                                 "continuous_usage_stats",
                                 name.substr(0, 80)),
                     "", "stream_options");
  }
}

void refuse_other_than_text(GenerationRequest&, const JsonValue& value) {
  if (value.fields().string("type").value_or("text") != "text")
    throw ApiError(400, "[response_format] only {\"type\": \"text\"} is served by this version", "",
                   "response_format");
}

// Chats take messages, or ids in their place. What messages hold is read by the chat fields' own parser.
const BodyField kFields[] = {
    {"model", kBoth, R"({"type":"string","description":"one of /v1/models; absent: the one that is served"})",
     [](GenerationRequest& r, const JsonValue& v) { r.model = v.string(); }},
    {"messages", kChat, R"({"type":"array","items":{"type":"object"},"description":"the conversation"})",
     ignore},
    {"prompt", kCompletions,
     R"({"description":"text, a list of texts, token ids, or a list of lists of them","anyOf":[{"type":"string"},{"type":"array"}]})",
     ignore},
    {"prompt_token_ids", kBoth,
     R"({"type":"array","items":{"type":"integer"},"description":"ids in place of text"})", ignore},
    {"documents", kChat, R"({"type":"array","description":"documents for the chat template"})", ignore},
    {"add_generation_prompt", kChat,
     R"({"type":"boolean","default":true,"description":"the prompt ends where the answer begins"})", ignore},
    {"chat_template", kChat,
     R"({"type":"string","description":"a Jinja template in place of the model's own"})", ignore},
    {"chat_template_kwargs", kChat,
     R"({"type":"object","description":"further variables of the chat template"})", ignore},
    {"disable_chat_template", kChat,
     R"({"type":"boolean","default":false,"description":"the content of the one message is the prompt, without a template, as in /v1/completions"})",
     [](GenerationRequest&, const JsonValue& v) { v.boolean(); }},
    {"stream", kBoth, R"({"type":"boolean","default":false,"description":"send tokens as they are made"})",
     [](GenerationRequest& r, const JsonValue& v) { r.stream = v.boolean(); }},
    {"stream_options", kBoth,
     R"({"type":"object","description":"include_usage: usage in a last chunk; continuous_usage_stats: in each"})",
     set_stream_options},
    {"max_streaming_response_tokens", kBoth,
     R"({"type":"integer","minimum":1,"maximum":2147483647,"default":1,"description":"of a stream: a chunk is sent when an output has so many new tokens, or ends"})",
     [](GenerationRequest& r, const JsonValue& v) {
       r.gathered_tokens = static_cast<size_t>(v.integer(1, INT32_MAX));
     }},
    {"return_token_ids", kBoth,
     R"({"type":"boolean","default":false,"description":"ids of prompt and output in the reply"})",
     [](GenerationRequest& r, const JsonValue& v) { r.return_token_ids = v.boolean(); }},
    {"best_of", kCompletions,
     R"({"type":"integer","minimum":1,"maximum":128,"description":"make so many outputs and keep the n best"})",
     ignore},
    {"request_id", kBoth,
     R"({"type":"string","maxLength":128,"description":"name of this request in replies and logs"})",
     [](GenerationRequest& r, const JsonValue& v) { r.request_id = parse_request_id(v); }},
    {"priority", kBoth,
     R"({"type":"integer","minimum":-2147483648,"maximum":2147483647,"default":0,"description":"smaller ones are admitted first and preempted last"})",
     [](GenerationRequest& r, const JsonValue& v) { r.priority = parse_priority(v); }},
    {"response_format", kBoth, R"({"type":"object","description":"only {\"type\": \"text\"}"})",
     refuse_other_than_text},
    {"cache_salt", kBoth,
     R"({"type":"string","maxLength":256,"description":"only requests with the same one share cached prefixes"})",
     [](GenerationRequest& r, const JsonValue& v) { r.cache_salt = parse_cache_salt(v); }},
    // What a hosted service does with these can't change a reply here.
    {"user", kBoth, R"({"type":"string","description":"ignored"})", ignore},
    {"metadata", kBoth, R"({"type":"object","description":"ignored"})", ignore},
    {"store", kBoth, R"({"type":"boolean","description":"ignored"})", ignore},
    {"service_tier", kBoth, R"({"type":"string","description":"ignored"})", ignore},
    {"prompt_cache_key", kBoth, R"({"type":"string","description":"ignored"})", ignore},
    {"safety_identifier", kBoth, R"({"type":"string","description":"ignored"})", ignore},
};

// Of the interface, but of features that are not there yet.
constexpr std::string_view kNotServed[] = {"tools",
                                           "tool_choice",
                                           "functions",
                                           "function_call",
                                           "parallel_tool_calls",
                                           "guided_json",
                                           "guided_regex",
                                           "guided_choice",
                                           "guided_grammar",
                                           "structural_tag",
                                           "modalities",
                                           "audio",
                                           "prediction",
                                           "web_search_options",
                                           "structured_outputs",
                                           "suffix",
                                           "reasoning_effort",
                                           "reasoning_max_tokens",
                                           "logits_processors_args",
                                           "verbosity"};

uint8_t bit_of(Endpoint endpoint) {
  return static_cast<uint8_t>(endpoint);
}

const BodyField* find_field(Endpoint endpoint, std::string_view name) {
  for (const BodyField& field : kFields)
    if (name == field.name && (field.endpoints & bit_of(endpoint)) != 0) return &field;
  return nullptr;
}

// Sampling fields that only one of the two has.
bool serves_sampling_field(Endpoint endpoint, std::string_view name) {
  if (name == "top_logprobs" || name == "max_completion_tokens") return endpoint == Endpoint::chat;
  if (name == "echo") return endpoint == Endpoint::completions;
  return true;
}

[[noreturn]] void fail_unknown(Endpoint endpoint, const std::string& name) {
  if (std::ranges::find(kNotServed, name) != std::end(kNotServed))
    throw ApiError(400, fmt::format("[{}] is not served by this version; leave it out", name),
                   "unsupported_field", name);
  std::vector<std::string_view> known;
  for (const BodyField& field : kFields)
    if ((field.endpoints & bit_of(endpoint)) != 0) known.emplace_back(field.name);
  for (const api::SamplingField& field : api::sampling_fields())
    if (serves_sampling_field(endpoint, field.name)) known.emplace_back(field.name);
  const std::string shown = name.substr(0, 80);
  const std::string_view near = nearest_name(shown, known);
  throw ApiError(400,
                 near.empty()
                     ? fmt::format("[{}] is no field of this endpoint; /openapi.json lists them", shown)
                     : fmt::format("[{}] is no field of this endpoint; did you mean {}?", shown, near),
                 "unknown_field", shown);
}

std::vector<int32_t> ids_of(const Json& list, const std::string& name) {
  const std::vector<int64_t> wide = JsonValue(list, name).integers(0, INT32_MAX);
  return {wide.begin(), wide.end()};
}

std::vector<Prompt> prompts_of(const Json& value) {
  const JsonValue named(value, "[prompt]");
  if (value.is_string()) return {{.text = value.get<std::string>()}};
  if (!value.is_array() || value.empty())
    named.fail("a string, a list of strings, token ids or a list of lists of them");
  if (value[0].is_number()) return {{.token_ids = ids_of(value, "[prompt]")}};
  if (value.size() > kMostPrompts)
    throw ApiError(
        400,
        fmt::format("[prompt] has {} prompts, at most {} are served in one request; send several requests",
                    value.size(), kMostPrompts),
        "too_many_prompts", "prompt");
  std::vector<Prompt> prompts;
  for (const JsonValue& item : named.items()) {
    if (item.json().is_string())
      prompts.push_back({.text = item.string()});
    else if (item.json().is_array())
      prompts.push_back({.token_ids = ids_of(item.json(), item.name())});
    else
      item.fail("a string or a list of token ids, as the first one");
  }
  return prompts;
}

// FastDeploy takes the first message and drops the others; here a prompt that was sent is used or refused.
Prompt prompt_without_template(const Json& body) {
  for (const char* field : {"chat_template", "chat_template_kwargs", "documents", "add_generation_prompt"})
    if (const auto given = body.find(field); given != body.end() && !given->is_null())
      throw ApiError(
          400,
          fmt::format(
              "[{}] is for a chat template, and [disable_chat_template] switches it off; leave one of them out",
              field),
          "invalid_value", field);
  const api::ChatRequest chat = parse_chat(body);
  if (chat.messages.size() != 1)
    throw ApiError(
        400,
        fmt::format("[messages] has {} messages, and without a chat template one is the prompt; write all "
                    "of it into one, or leave [disable_chat_template] out",
                    chat.messages.size()),
        "invalid_value", "messages");
  const Json& message = chat.messages[0];
  const auto content = message.find("content");
  if (content == message.end() || !content->is_string())
    throw ApiError(400, "[messages][0] has no content, which is the prompt without a chat template",
                   "invalid_value", "messages");
  return {.text = content->get<std::string>()};
}

// The chat API counts by top_logprobs what a boolean switches on; the completions API has a number alone.
void settle_logprobs(GenerationRequest& request, const Json& body, Sampling& sampling) {
  const auto flag = body.find("logprobs");
  if (request.endpoint == Endpoint::chat) {
    const bool on = flag != body.end() && flag->is_boolean() && flag->get<bool>();
    if (flag != body.end() && !flag->is_boolean() && !flag->is_null())
      JsonValue(*flag, "[logprobs]").fail("true or false; top_logprobs says how many");
    const auto top = body.find("top_logprobs");
    if (top != body.end() && !top->is_null() && !on)
      throw ApiError(400, "[top_logprobs] needs \"logprobs\": true", "", "top_logprobs");
    if (on && !sampling.logprobs) sampling.logprobs = 0;
  } else if (flag != body.end() && flag->is_boolean()) {
    JsonValue(*flag, "[logprobs]").fail("an integer");
  }
  request.wants_logprobs = sampling.logprobs.has_value();
}

void settle_best_of(const GenerationRequest& request, const JsonValue& best_of, Sampling& sampling) {
  const auto made = static_cast<int>(best_of.integer(1, 128));
  if (made < sampling.n)
    throw ApiError(400, fmt::format("[best_of] is {}, expected at least n, which is {}", made, sampling.n),
                   "invalid_value", "best_of");
  if (made == sampling.n) return;
  if (request.stream)
    throw ApiError(400, "[best_of] above n can't be streamed: which outputs are best is known at their end",
                   "invalid_value", "best_of");
  sampling.n = made;
  if (!sampling.logprobs) sampling.logprobs = 0;  // by which they are ranked
}

}  // namespace

GenerationRequest parse_generation_request(Endpoint endpoint, std::string_view text,
                                           const Sampling& defaults) {
  const Json body = parse_body(text);
  GenerationRequest request;
  request.endpoint = endpoint;
  Sampling sampling = defaults;
  for (const auto& [name, value] : body.items()) {
    if (const BodyField* field = find_field(endpoint, name)) {
      if (!value.is_null()) field->set(request, JsonValue(value, "[" + name + "]"));
    } else if (!serves_sampling_field(endpoint, name) || !api::set_sampling_field(sampling, name, value)) {
      fail_unknown(endpoint, name);
    }
  }
  settle_logprobs(request, body, sampling);
  const JsonFields fields(body, "body", FieldNames::request);
  const Json* ids = fields.find("prompt_token_ids");
  const Json* source = fields.find(endpoint == Endpoint::chat ? "messages" : "prompt");
  if ((ids != nullptr) == (source != nullptr)) {
    const std::string_view name = endpoint == Endpoint::chat ? "messages" : "prompt";
    throw ApiError(400, fmt::format("give one of [{}] and [prompt_token_ids]", name), "missing_field",
                   std::string(name));
  }
  if (ids != nullptr)
    request.prompts.push_back({.token_ids = ids_of(*ids, "[prompt_token_ids]")});
  else if (endpoint == Endpoint::completions)
    request.prompts = prompts_of(*source);
  else if (source->is_array() && !source->empty() && (*source)[0].is_number())
    request.prompts.push_back({.token_ids = ids_of(*source, "[messages]")});  // as FastDeploy has it
  else if (fields.boolean("disable_chat_template").value_or(false))
    request.prompts.push_back(prompt_without_template(body));
  else
    api::set_chat(request.prompts.emplace_back(), parse_chat(body));
  if (fields.has("max_streaming_response_tokens") && !request.stream)
    throw ApiError(400, "[max_streaming_response_tokens] needs \"stream\": true", "",
                   "max_streaming_response_tokens");
  if (fields.has("stream_options") && !request.stream)
    throw ApiError(400, "[stream_options] needs \"stream\": true", "", "stream_options");
  request.n = sampling.n;
  if (const auto best_of = fields.value("best_of")) settle_best_of(request, *best_of, sampling);
  if (sampling.echo && request.wants_logprobs) sampling.prompt_logprobs = sampling.logprobs;
  api::check_sampling(sampling);
  for (Prompt& prompt : request.prompts) {
    prompt.sampling = sampling;
    prompt.cache_salt = request.cache_salt;
  }
  return request;
}

std::string parse_cache_salt(const JsonValue& value) {
  std::string salt = value.string();
  if (salt.size() > engine::Request::kMaxCacheSalt)
    value.fail(fmt::format("at most {} bytes", engine::Request::kMaxCacheSalt));
  return salt;
}

std::string parse_request_id(const JsonValue& value) {
  std::string id = value.string();
  if (id.size() > 128 || !may_be_field_value(id)) value.fail("at most 128 printable characters");
  return id;
}

int32_t parse_priority(const JsonValue& value) {
  return static_cast<int32_t>(value.integer(INT32_MIN, INT32_MAX));
}

Json request_schema(Endpoint endpoint) {
  Json properties = Json::object();
  for (const BodyField& field : kFields)
    if ((field.endpoints & bit_of(endpoint)) != 0)
      properties[field.name] = parse_json(field.schema, field.name);
  for (const api::SamplingField& field : api::sampling_fields())
    if (serves_sampling_field(endpoint, field.name)) properties[field.name] = api::field_schema(field);
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

}  // namespace reprise::server

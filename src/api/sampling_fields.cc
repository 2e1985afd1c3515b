#include "api/sampling_fields.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

#include "api/field_text.h"
#include "api/sampling_check.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::api {
namespace {

using Engine = engine::SamplingParams;

std::string range_of(const FieldLimits& limits) {
  const bool open_end = limits.most == double{std::numeric_limits<float>::max()};
  if (limits.above_least) return fmt::format("a number above {}", limits.least);
  if (open_end) return fmt::format("a number, {} or more", limits.least);
  return fmt::format("a number from {} to {}", limits.least, limits.most);
}

float real(const FieldLimits& limits, const JsonValue& value) {
  const double number = value.json().is_number() ? value.json().get<double>() : NAN;
  const auto single = static_cast<float>(number);
  if (!(number >= limits.least && number <= limits.most) || (limits.above_least && !(single > limits.least)))
    value.fail(range_of(limits));
  return single;
}

int integer(const FieldLimits& limits, const JsonValue& value) {
  return static_cast<int>(
      value.integer(static_cast<int64_t>(limits.least), static_cast<int64_t>(limits.most)));
}

// Counted before anything is copied.
void require_count(const JsonValue& value, size_t most) {
  if (value.json().size() > most)
    throw Error("{} has {} entries, expected at most {}", value.name(), value.json().size(), most);
}

std::vector<std::string> strings(const FieldLimits& limits, const JsonValue& value) {
  require_count(value, limits.most_items);
  size_t bytes = 0;
  for (const Json& item : value.json())
    if (item.is_string()) bytes += item.get_ref<const std::string&>().size();
  if (bytes > limits.most_in_all)
    throw Error("{} has more than {} bytes in all, expected at most those", value.name(), limits.most_in_all);
  return value.strings();
}

std::vector<int32_t> ids(const JsonValue& value, size_t most) {
  if (!value.json().is_array()) value.fail("a list of token ids");
  require_count(value, most);
  const std::vector<int64_t> wide = value.integers(0, INT32_MAX);
  return {wide.begin(), wide.end()};
}

std::vector<std::pair<int32_t, float>> biases(const FieldLimits& limits, const JsonValue& value) {
  if (!value.json().is_object()) value.fail("an object of token ids and numbers, such as {\"5\": -1}");
  require_count(value, limits.most_items);
  std::vector<std::pair<int32_t, float>> list;
  for (const auto& [key, bias] : value.json().items()) {
    int32_t token = 0;
    try {
      token = static_cast<int32_t>(parse_integer(key, 0, INT32_MAX));
    } catch (const Error&) {
      throw Error("{} has the member {}, expected a token id", value.name(), short_json_text(key));
    }
    const JsonValue named(bias, fmt::format("{} of token {}", value.name(), key));
    list.emplace_back(token, real(limits, named));
  }
  return list;
}

std::vector<std::vector<int32_t>> id_lists(const FieldLimits& limits, const JsonValue& value) {
  if (!value.json().is_array()) value.fail("a list of lists of token ids");
  require_count(value, limits.most_items);
  std::vector<std::vector<int32_t>> list;
  size_t left = limits.most_in_all;
  for (const JsonValue& item : value.items()) {
    // A flat list means single tokens, as FastDeploy has it.
    if (item.json().is_array())
      list.push_back(ids(item, left));
    else
      list.push_back({static_cast<int32_t>(item.integer(0, INT32_MAX))});
    left -= std::min(left, list.back().size());
  }
  return list;
}

// The completions API has a number, the chat API a boolean with top_logprobs beside it.
std::optional<int> logprob_count(const FieldLimits& limits, const JsonValue& value) {
  if (value.json().is_boolean()) return value.boolean() ? std::optional<int>(0) : std::nullopt;
  return integer(limits, value);
}

// Numbers without sign up to 2^64 - 1; negative ones count from there downwards.
uint64_t seed(const JsonValue& value) {
  const Json& json = value.json();
  if (!json.is_number_integer()) value.fail("an integer from -9223372036854775808 to 18446744073709551615");
  return json.is_number_unsigned() ? json.get<uint64_t>() : static_cast<uint64_t>(json.get<int64_t>());
}

constexpr float kMost = std::numeric_limits<float>::max();
constexpr FieldLimits kAnyCount{.least = 0, .most = INT_MAX};
constexpr FieldLimits kCountOrAll{.least = -1, .most = INT_MAX};
constexpr FieldLimits kShare{.least = 0, .most = 1};
constexpr FieldLimits kPenalty{.least = -2, .most = 2};

constexpr auto kSetMaxTokens = [](Sampling& s, const SamplingField& f, const JsonValue& v) {
  s.max_tokens = integer(f.limits, v);
};

// The numbers of the ranges are those of SamplingParams::validate(), which checks them again for callers of
// the C++ API; tests/api/sampling_fields_test.cc compares the two at every edge.
const SamplingField kFields[] = {
    {"temperature",
     FieldType::number,
     {.least = 0, .most = kMost},
     "1",
     "0 or more (1)",
     "0 or more: randomness; 0 takes the most likely token",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.temperature = real(f.limits, v); }},
    {"top_k", FieldType::integer, kCountOrAll, "0", "-1 or more (0)",
     "choose among the K most likely tokens; 0 or -1: all",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.top_k = integer(f.limits, v); }},
    {"top_p", FieldType::number, kShare, "1", "0 to 1 (1)",
     "0 to 1: choose among the most likely tokens that together have this probability",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.top_p = real(f.limits, v); }},
    {"min_p", FieldType::number, kShare, "0", "0 to 1 (0)",
     "0 to 1: choose among tokens with at least this share of the best one's probability",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.min_p = real(f.limits, v); }},
    {"repetition_penalty",
     FieldType::number,
     {.least = 0, .most = kMost, .above_least = true},
     "1",
     "more than 0 (1)",
     "more than 0: above 1 discourages tokens of prompt and output",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.repetition_penalty = real(f.limits, v);
     }},
    {"presence_penalty", FieldType::number, kPenalty, "0", "-2 to 2 (0)",
     "-2 to 2: above 0 discourages tokens that were said",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.presence_penalty = real(f.limits, v); }},
    {"frequency_penalty", FieldType::number, kPenalty, "0", "-2 to 2 (0)",
     "-2 to 2: above 0 discourages tokens by how often they were said",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.frequency_penalty = real(f.limits, v);
     }},
    {"logit_bias",
     FieldType::token_biases,
     {.least = -100, .most = 100, .most_items = Engine::kMaxLogitBias},
     "null",
     "up to 1024 entries, -100 to 100 each (none)",
     "{\"token id\": bias, ...}, up to 1024, each -100 to 100",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.logit_bias = biases(f.limits, v); }},
    {"seed",
     FieldType::seed,
     {},
     "null",
     "64 bits (the model's seed plus the request's number)",
     "the same seed gives the same tokens",
     [](Sampling& s, const SamplingField&, const JsonValue& v) { s.seed = seed(v); }},
    {"max_tokens", FieldType::integer, kAnyCount, "null", "0 or more (as far as max_model_len goes)",
     "at most so many new tokens, 0 or more", kSetMaxTokens},
    {"max_completion_tokens", FieldType::integer, kAnyCount, "null",
     "0 or more (as far as max_model_len goes)", "the same as --max-tokens", kSetMaxTokens},
    {"min_tokens", FieldType::integer, kAnyCount, "0", "0 or more, at most max_tokens (0)",
     "no stop string, stop id or end of text ends the output before so many new tokens",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.min_tokens = integer(f.limits, v); }},
    {"n",
     FieldType::integer,
     {.least = 1, .most = Engine::kMaxOutputs},
     "1",
     "1 to 128 (1)",
     "1 to 128: outputs for a prompt",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.n = integer(f.limits, v); }},
    {"stop",
     FieldType::text_list,
     {.most_items = kMaxStopStrings, .most_in_all = kMaxStopBytes},
     "null",
     "up to 128 strings, 65536 bytes in all (none)",
     "a string that ends the text; up to 128 by repeating the flag",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.stop = strings(f.limits, v); }},
    {"stop_token_ids",
     FieldType::id_list,
     {.most_items = Engine::kMaxStopTokens},
     "null",
     "up to 256 ids (none)",
     "[id, ...] that end the text, up to 256",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.stop_token_ids = ids(v, f.limits.most_items);
     }},
    {"include_stop_str_in_output",
     FieldType::boolean,
     {},
     "false",
     "true or false (false)",
     "keep the stop string in the text",
     [](Sampling& s, const SamplingField&, const JsonValue& v) {
       s.include_stop_str_in_output = v.boolean();
     }},
    {"bad_words",
     FieldType::text_list,
     {.most_items = kMaxBadWords, .most_in_all = kMaxBadWordBytes},
     "null",
     "up to 256 words, 65536 bytes in all (none)",
     "a word never to say; up to 256 by repeating the flag",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.bad_words = strings(f.limits, v); }},
    {"bad_words_token_ids",
     FieldType::id_lists,
     {.most_items = Engine::kMaxBadWords, .most_in_all = kMaxBadWordIds},
     "null",
     "up to 512 lists, 65536 ids in all (none)",
     "[[id, ...], ...] never to say, up to 512",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.bad_words_token_ids = id_lists(f.limits, v);
     }},
    {"ignore_eos",
     FieldType::boolean,
     {},
     "false",
     "true or false (false)",
     "go on after the end of text",
     [](Sampling& s, const SamplingField&, const JsonValue& v) { s.ignore_eos = v.boolean(); }},
    {"echo",
     FieldType::boolean,
     {},
     "false",
     "true or false (false)",
     "the text begins with the prompt",
     [](Sampling& s, const SamplingField&, const JsonValue& v) { s.echo = v.boolean(); }},
    {"skip_special_tokens",
     FieldType::boolean,
     {},
     "true",
     "true or false (true)",
     "true or false (true): leave special tokens out of the text",
     [](Sampling& s, const SamplingField&, const JsonValue& v) { s.skip_special_tokens = v.boolean(); }},
    {"logprobs", FieldType::logprob_count, kCountOrAll, "null", "-1 to max_logprobs (none)",
     "log-probabilities of each token and of the K best; 0: of the token alone, -1: of the whole vocabulary",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.logprobs = logprob_count(f.limits, v);
     }},
    {"top_logprobs", FieldType::integer, kCountOrAll, "null", "-1 to max_logprobs (none)",
     "the same K, as the chat API writes it",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) { s.logprobs = integer(f.limits, v); }},
    {"prompt_logprobs", FieldType::integer, kCountOrAll, "null", "-1 to max_logprobs (none)",
     "the same for the prompt's tokens",
     [](Sampling& s, const SamplingField& f, const JsonValue& v) {
       s.prompt_logprobs = integer(f.limits, v);
     }},
};

}  // namespace

void set_field(const SamplingField& field, Sampling& sampling, const Json& value,
               const std::string& shown_name) {
  field.set(sampling, field, JsonValue(value, fmt::format("[{}]", shown_name)));
}

void set_field_from_text(const SamplingField& field, Sampling& sampling,
                         const std::vector<std::string>& texts, const std::string& shown_name) {
  if (field.type == FieldType::text_list) return set_field(field, sampling, Json(texts), shown_name);
  Json value;
  try {
    value = parse_json(texts.back(), shown_name, kRequestJson);
  } catch (const Error&) {
    value = texts.back();  // of the wrong type, which the field says
  }
  set_field(field, sampling, value, shown_name);
}

bool set_sampling_field(Sampling& sampling, const std::string& name, const Json& value) {
  for (const SamplingField& field : kFields) {
    if (name != field.name) continue;
    if (!value.is_null()) set_field(field, sampling, value, name);
    return true;
  }
  return false;
}

std::span<const SamplingField> sampling_fields() {
  return kFields;
}

FieldForm form_of(const SamplingField& field) {
  switch (field.type) {
    case FieldType::number:
    case FieldType::integer:
    case FieldType::seed:
    case FieldType::logprob_count:
      return FieldForm::number;
    case FieldType::text_list:
      return FieldForm::text_list;
    case FieldType::boolean:  // one that is on without it could not be switched off
      return field.standard == std::string_view("false") ? FieldForm::flag : FieldForm::json;
    default:
      return FieldForm::json;
  }
}

Json field_schema(const SamplingField& field) {
  const FieldLimits& limits = field.limits;
  const auto ranged = [&](const char* type) {
    const auto bound = [&](double value) {
      return type == std::string_view("integer") ? Json(static_cast<int64_t>(value)) : Json(value);
    };
    Json schema = {{"type", type}};
    schema[limits.above_least ? "exclusiveMinimum" : "minimum"] = bound(limits.least);
    // The largest float or int is what fits, no range that is meant.
    if (limits.most < INT_MAX) schema["maximum"] = bound(limits.most);
    return schema;
  };
  const auto list_of = [&](Json items) {
    return Json{{"type", "array"}, {"items", std::move(items)}, {"maxItems", limits.most_items}};
  };
  const Json id = {{"type", "integer"}, {"minimum", 0}};
  Json schema;
  switch (field.type) {
    case FieldType::number:
      schema = ranged("number");
      break;
    case FieldType::integer:
      schema = ranged("integer");
      break;
    case FieldType::seed:
      schema = {{"type", "integer"}, {"minimum", INT64_MIN}, {"maximum", UINT64_MAX}};
      break;
    case FieldType::boolean:
      schema = {{"type", "boolean"}};
      break;
    case FieldType::text_list:
      schema["anyOf"] = Json::array({Json{{"type", "string"}}, list_of({{"type", "string"}})});
      break;
    case FieldType::id_list:
      schema = list_of(id);
      break;
    case FieldType::id_lists:
      schema = list_of({{"anyOf", Json::array({id, Json{{"type", "array"}, {"items", id}}})}});
      break;
    case FieldType::token_biases:
      schema = {{"type", "object"},
                {"additionalProperties", ranged("number")},
                {"maxProperties", limits.most_items}};
      break;
    case FieldType::logprob_count:
      schema["anyOf"] = Json::array({Json{{"type", "boolean"}}, ranged("integer")});
      break;
  }
  schema["default"] = parse_json(field.standard, field.name);
  schema["description"] = fmt::format("{}. Values: {}", field.help, field.range);
  return schema;
}

std::string sampling_field_names() {
  std::string names;
  for (const SamplingField& field : kFields) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return names;
}

}  // namespace reprise::api

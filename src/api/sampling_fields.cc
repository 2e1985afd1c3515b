#include "api/sampling_fields.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "api/field_text.h"
#include "api/sampling_check.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::api {
namespace {

using Engine = engine::SamplingParams;

float real(const JsonValue& value, float least, float most, const char* expected) {
  const double number = value.json().is_number() ? value.json().get<double>() : NAN;
  if (!(number >= double{least} && number <= double{most})) value.fail(expected);
  return value.json().get<float>();
}

int integer(const JsonValue& value, int least, int most) {
  return static_cast<int>(value.integer(least, most));
}

// Counted before anything is copied.
void require_count(const JsonValue& value, size_t most) {
  if (value.json().size() > most)
    throw Error("{} has {} entries, expected at most {}", value.name(), value.json().size(), most);
}

std::vector<std::string> strings(const JsonValue& value, size_t most, size_t most_bytes) {
  require_count(value, most);
  size_t bytes = 0;
  for (const Json& item : value.json())
    if (item.is_string()) bytes += item.get_ref<const std::string&>().size();
  if (bytes > most_bytes)
    throw Error("{} has more than {} bytes in all, expected at most those", value.name(), most_bytes);
  return value.strings();
}

std::vector<int32_t> ids(const JsonValue& value, size_t most) {
  if (!value.json().is_array()) value.fail("a list of token ids");
  require_count(value, most);
  const std::vector<int64_t> wide = value.integers(0, INT32_MAX);
  return {wide.begin(), wide.end()};
}

std::vector<std::pair<int32_t, float>> biases(const JsonValue& value) {
  if (!value.json().is_object()) value.fail("an object of token ids and numbers, such as {\"5\": -1}");
  require_count(value, Engine::kMaxLogitBias);
  std::vector<std::pair<int32_t, float>> list;
  for (const auto& [key, bias] : value.json().items()) {
    int32_t token = 0;
    try {
      token = static_cast<int32_t>(parse_integer(key, 0, INT32_MAX));
    } catch (const Error&) {
      throw Error("{} has the member {}, expected a token id", value.name(), short_json_text(key));
    }
    const JsonValue named(bias, fmt::format("{} of token {}", value.name(), key));
    list.emplace_back(token, real(named, -100, 100, "a number from -100 to 100"));
  }
  return list;
}

std::vector<std::vector<int32_t>> id_lists(const JsonValue& value) {
  if (!value.json().is_array()) value.fail("a list of lists of token ids");
  require_count(value, Engine::kMaxBadWords);
  std::vector<std::vector<int32_t>> list;
  size_t left = kMaxBadWordIds;
  for (const JsonValue& item : value.items()) {
    // A flat list means single tokens, as FastDeploy has it.
    if (item.json().is_array())
      list.push_back(ids(item, left));
    else
      list.push_back({integer(item, 0, INT32_MAX)});
    left -= std::min(left, list.back().size());
  }
  return list;
}

// The completions API has a number, the chat API a boolean with top_logprobs beside it.
std::optional<int> logprob_count(const JsonValue& value) {
  if (value.json().is_boolean()) return value.boolean() ? std::optional<int>(0) : std::nullopt;
  return integer(value, -1, INT_MAX);
}

// Numbers without sign up to 2^64 - 1; negative ones count from there downwards.
uint64_t seed(const JsonValue& value) {
  const Json& json = value.json();
  if (!json.is_number_integer()) value.fail("an integer from -9223372036854775808 to 18446744073709551615");
  return json.is_number_unsigned() ? json.get<uint64_t>() : static_cast<uint64_t>(json.get<int64_t>());
}

constexpr float kMost = std::numeric_limits<float>::max();
constexpr const char* kPenalty = "a number from -2 to 2";

constexpr auto kSetMaxTokens = [](Sampling& s, const JsonValue& v) { s.max_tokens = integer(v, 0, INT_MAX); };

// The numbers of the ranges are those of SamplingParams::validate(), which checks them again for callers of
// the C++ API; tests/api/sampling_fields_test.cc compares the two at every edge.
const SamplingField kFields[] = {
    {"temperature", FieldForm::number, "0 or more (1)",
     "0 or more: randomness; 0 takes the most likely token",
     [](Sampling& s, const JsonValue& v) { s.temperature = real(v, 0, kMost, "a number, 0 or more"); }},
    {"top_k", FieldForm::number, "-1 or more (0)", "choose among the K most likely tokens; 0 or -1: all",
     [](Sampling& s, const JsonValue& v) { s.top_k = integer(v, -1, INT_MAX); }},
    {"top_p", FieldForm::number, "0 to 1 (1)",
     "0 to 1: choose among the most likely tokens that together have this probability",
     [](Sampling& s, const JsonValue& v) { s.top_p = real(v, 0, 1, "a number from 0 to 1"); }},
    {"min_p", FieldForm::number, "0 to 1 (0)",
     "0 to 1: choose among tokens with at least this share of the best one's probability",
     [](Sampling& s, const JsonValue& v) { s.min_p = real(v, 0, 1, "a number from 0 to 1"); }},
    {"repetition_penalty", FieldForm::number, "more than 0 (1)",
     "more than 0: above 1 discourages tokens of prompt and output",
     [](Sampling& s, const JsonValue& v) {
       s.repetition_penalty = real(v, std::numeric_limits<float>::denorm_min(), kMost, "a number above 0");
     }},
    {"presence_penalty", FieldForm::number, "-2 to 2 (0)",
     "-2 to 2: above 0 discourages tokens that were said",
     [](Sampling& s, const JsonValue& v) { s.presence_penalty = real(v, -2, 2, kPenalty); }},
    {"frequency_penalty", FieldForm::number, "-2 to 2 (0)",
     "-2 to 2: above 0 discourages tokens by how often they were said",
     [](Sampling& s, const JsonValue& v) { s.frequency_penalty = real(v, -2, 2, kPenalty); }},
    {"logit_bias", FieldForm::json, "up to 1024 entries, -100 to 100 each (none)",
     "{\"token id\": bias, ...}, up to 1024, each -100 to 100",
     [](Sampling& s, const JsonValue& v) { s.logit_bias = biases(v); }},
    {"seed", FieldForm::number, "64 bits (the model's seed plus the request's number)",
     "the same seed gives the same tokens", [](Sampling& s, const JsonValue& v) { s.seed = seed(v); }},
    {"max_tokens", FieldForm::number, "0 or more (as far as max_model_len goes)",
     "at most so many new tokens, 0 or more", kSetMaxTokens},
    {"max_completion_tokens", FieldForm::number, "0 or more (as far as max_model_len goes)",
     "the same as --max-tokens", kSetMaxTokens},
    {"min_tokens", FieldForm::number, "0 or more, at most max_tokens (0)",
     "no stop string, stop id or end of text ends the output before so many new tokens",
     [](Sampling& s, const JsonValue& v) { s.min_tokens = integer(v, 0, INT_MAX); }},
    {"n", FieldForm::number, "1 to 128 (1)", "1 to 128: outputs for a prompt",
     [](Sampling& s, const JsonValue& v) { s.n = integer(v, 1, Engine::kMaxOutputs); }},
    {"stop", FieldForm::text_list, "up to 128 strings, 65536 bytes in all (none)",
     "a string that ends the text; up to 128 by repeating the flag",
     [](Sampling& s, const JsonValue& v) { s.stop = strings(v, kMaxStopStrings, kMaxStopBytes); }},
    {"stop_token_ids", FieldForm::json, "up to 256 ids (none)", "[id, ...] that end the text, up to 256",
     [](Sampling& s, const JsonValue& v) { s.stop_token_ids = ids(v, Engine::kMaxStopTokens); }},
    {"include_stop_str_in_output", FieldForm::flag, "true or false (false)",
     "keep the stop string in the text",
     [](Sampling& s, const JsonValue& v) { s.include_stop_str_in_output = v.boolean(); }},
    {"bad_words", FieldForm::text_list, "up to 256 words, 65536 bytes in all (none)",
     "a word never to say; up to 256 by repeating the flag",
     [](Sampling& s, const JsonValue& v) { s.bad_words = strings(v, kMaxBadWords, kMaxBadWordBytes); }},
    {"bad_words_token_ids", FieldForm::json, "up to 512 lists, 65536 ids in all (none)",
     "[[id, ...], ...] never to say, up to 512",
     [](Sampling& s, const JsonValue& v) { s.bad_words_token_ids = id_lists(v); }},
    {"ignore_eos", FieldForm::flag, "true or false (false)", "go on after the end of text",
     [](Sampling& s, const JsonValue& v) { s.ignore_eos = v.boolean(); }},
    {"echo", FieldForm::flag, "true or false (false)", "the text begins with the prompt",
     [](Sampling& s, const JsonValue& v) { s.echo = v.boolean(); }},
    {"skip_special_tokens", FieldForm::json, "true or false (true)",
     "true or false (true): leave special tokens out of the text",
     [](Sampling& s, const JsonValue& v) { s.skip_special_tokens = v.boolean(); }},
    {"logprobs", FieldForm::number, "-1 to max_logprobs (none)",
     "log-probabilities of each token and of the K best; 0: of the token alone, -1: of the whole vocabulary",
     [](Sampling& s, const JsonValue& v) { s.logprobs = logprob_count(v); }},
    {"top_logprobs", FieldForm::number, "-1 to max_logprobs (none)", "the same K, as the chat API writes it",
     [](Sampling& s, const JsonValue& v) { s.logprobs = integer(v, -1, INT_MAX); }},
    {"prompt_logprobs", FieldForm::number, "-1 to max_logprobs (none)", "the same for the prompt's tokens",
     [](Sampling& s, const JsonValue& v) { s.prompt_logprobs = integer(v, -1, INT_MAX); }},
};

}  // namespace

void set_field(const SamplingField& field, Sampling& sampling, const Json& value,
               const std::string& shown_name) {
  field.set(sampling, JsonValue(value, fmt::format("[{}]", shown_name)));
}

void set_field_from_text(const SamplingField& field, Sampling& sampling,
                         const std::vector<std::string>& texts, const std::string& shown_name) {
  if (field.form == FieldForm::text_list) return set_field(field, sampling, Json(texts), shown_name);
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

std::string sampling_field_names() {
  std::string names;
  for (const SamplingField& field : kFields) names += (names.empty() ? "" : ", ") + std::string(field.name);
  return names;
}

}  // namespace reprise::api

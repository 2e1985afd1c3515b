#include "api/sampling_fields.h"

#include <limits>
#include <vector>

#include "core/error.h"

namespace reprise::api {
namespace {

[[noreturn]] void wrong(const char* expected, const Json& value) {
  throw Error("is {}, expected {}", to_json_text(value), expected);
}

float real(const Json& value) {
  if (!value.is_number()) wrong("a number", value);
  return value.get<float>();
}

template <typename T = int>
T integer(const Json& value) {
  if (!value.is_number_integer()) wrong("an integer", value);
  const auto wide = value.get<int64_t>();
  if (wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max())
    wrong("a smaller number", value);
  return static_cast<T>(wide);
}

bool boolean(const Json& value) {
  if (!value.is_boolean()) wrong("true or false", value);
  return value.get<bool>();
}

std::vector<std::string> strings(const Json& value) {
  if (value.is_string()) return {value.get<std::string>()};
  std::vector<std::string> list;
  if (!value.is_array()) wrong("a string or a list of strings", value);
  for (const Json& item : value) {
    if (!item.is_string()) wrong("a string or a list of strings", value);
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::vector<int32_t> ids(const Json& value) {
  if (!value.is_array()) wrong("a list of token ids", value);
  std::vector<int32_t> list;
  for (const Json& item : value) list.push_back(integer<int32_t>(item));
  return list;
}

// The completions API has a number, the chat API a boolean with top_logprobs beside it.
std::optional<int> logprob_count(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? std::optional<int>(0) : std::nullopt;
  return integer(value);
}

constexpr auto kMaxTokens = [](Sampling& s, const Json& v) { s.max_tokens = integer(v); };

const SamplingField kFields[] = {
    {"temperature", FieldForm::number, "0 is greedy",
     [](Sampling& s, const Json& v) { s.temperature = real(v); }},
    {"top_k", FieldForm::number, "only the K most likely; 0: all",
     [](Sampling& s, const Json& v) { s.top_k = integer(v); }},
    {"top_p", FieldForm::number, "only the most likely that together have this probability",
     [](Sampling& s, const Json& v) { s.top_p = real(v); }},
    {"min_p", FieldForm::number, "only those with this share of the best one's probability",
     [](Sampling& s, const Json& v) { s.min_p = real(v); }},
    {"repetition_penalty", FieldForm::number, "> 1 discourages what was said",
     [](Sampling& s, const Json& v) { s.repetition_penalty = real(v); }},
    {"presence_penalty", FieldForm::number, "-2 to 2",
     [](Sampling& s, const Json& v) { s.presence_penalty = real(v); }},
    {"frequency_penalty", FieldForm::number, "-2 to 2",
     [](Sampling& s, const Json& v) { s.frequency_penalty = real(v); }},
    {"logit_bias", FieldForm::json, "{\"token id\": bias, ...}",
     [](Sampling& s, const Json& v) {
       if (!v.is_object()) wrong("an object of token ids and numbers", v);
       s.logit_bias.clear();
       for (const auto& [id, bias] : v.items())
         s.logit_bias.emplace_back(integer<int32_t>(parse_json(id, "token id of logit_bias")), real(bias));
     }},
    {"seed", FieldForm::number, "the same seed gives the same tokens",
     [](Sampling& s, const Json& v) { s.seed = static_cast<uint64_t>(integer<int64_t>(v)); }},
    {"max_tokens", FieldForm::number, "at most so many new tokens", kMaxTokens},
    {"max_completion_tokens", FieldForm::number, "the same", kMaxTokens},
    {"min_tokens", FieldForm::number, "at least so many new tokens",
     [](Sampling& s, const Json& v) { s.min_tokens = integer(v); }},
    {"n", FieldForm::number, "outputs for a prompt", [](Sampling& s, const Json& v) { s.n = integer(v); }},
    {"stop", FieldForm::text_list, "a string that ends the text; may be repeated",
     [](Sampling& s, const Json& v) { s.stop = strings(v); }},
    {"stop_token_ids", FieldForm::json, "[id, ...] that end the text",
     [](Sampling& s, const Json& v) { s.stop_token_ids = ids(v); }},
    {"include_stop_str_in_output", FieldForm::flag, "keep the stop string",
     [](Sampling& s, const Json& v) { s.include_stop_str_in_output = boolean(v); }},
    {"bad_words", FieldForm::text_list, "a word never to say; may be repeated",
     [](Sampling& s, const Json& v) { s.bad_words = strings(v); }},
    {"bad_words_token_ids", FieldForm::json, "[[id, ...], ...] never to say",
     [](Sampling& s, const Json& v) {
       if (!v.is_array()) wrong("a list of lists of token ids", v);
       s.bad_words_token_ids.clear();
       // A flat list means single tokens, as FastDeploy has it.
       for (const Json& item : v)
         s.bad_words_token_ids.push_back(item.is_array() ? ids(item)
                                                         : std::vector<int32_t>{integer<int32_t>(item)});
     }},
    {"ignore_eos", FieldForm::flag, "go on after the end of text",
     [](Sampling& s, const Json& v) { s.ignore_eos = boolean(v); }},
    {"echo", FieldForm::flag, "the text begins with the prompt",
     [](Sampling& s, const Json& v) { s.echo = boolean(v); }},
    {"skip_special_tokens", FieldForm::json, "true or false; leave special tokens out of the text",
     [](Sampling& s, const Json& v) { s.skip_special_tokens = boolean(v); }},
    {"logprobs", FieldForm::number, "log-probabilities of each token and of the K best; -1: of all",
     [](Sampling& s, const Json& v) { s.logprobs = logprob_count(v); }},
    {"top_logprobs", FieldForm::number, "the same K, as the chat API writes it",
     [](Sampling& s, const Json& v) { s.logprobs = integer(v); }},
    {"prompt_logprobs", FieldForm::number, "the same for the prompt's tokens",
     [](Sampling& s, const Json& v) { s.prompt_logprobs = integer(v); }},
};

}  // namespace

void set_field(const SamplingField& field, Sampling& sampling, const Json& value,
               const std::string& shown_name) {
  try {
    field.set(sampling, value);
  } catch (const std::exception& e) {
    throw Error("[{}] {}", shown_name, e.what());
  }
}

void set_field_from_text(const SamplingField& field, Sampling& sampling,
                         const std::vector<std::string>& texts, const std::string& shown_name) {
  set_field(field, sampling,
            field.form == FieldForm::text_list ? Json(texts) : parse_json(texts.back(), shown_name),
            shown_name);
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

#include "client/replay/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "core/fnv1a.h"
#include "core/json_fields.h"

namespace reprise::client {
namespace {

constexpr std::string_view kReply = "the reply";
constexpr JsonLimits kReplyJson = {.max_bytes = size_t{512} << 20};

// One output as the reply has it.
struct Found {
  std::string text;
  std::optional<std::vector<int32_t>> ids;
  std::vector<float> logprobs;  // with those of an echoed prompt before; NaN where nothing is predicted
};

bool has_choices(const LoggedLine& line) {
  return line.path.ends_with("/completions");
}

bool is_list_of_prompts(const Json& prompt) {
  return prompt.is_array() && !prompt.empty() && !prompt[0].is_number();
}

void append_logprobs(const Json& list, std::vector<float>& to) {
  if (!list.is_array()) return;
  for (const Json& item : list) {
    const Json* value = item.is_object() && item.contains("logprob") ? &item["logprob"] : &item;
    to.push_back(value->is_number() ? value->get<float>() : NAN);
  }
}

Found choice_of(const JsonFields& choice) {
  Found found;
  if (const auto message = choice.value("message"))
    found.text = message->fields().string("content").value_or("");
  else
    found.text = choice.string("text").value_or("");
  if (choice.has("completion_token_ids")) {
    const std::vector<int64_t> wide = choice.at("completion_token_ids").integers(0, INT32_MAX);
    found.ids.emplace(wide.begin(), wide.end());
  }
  if (const auto logprobs = choice.value("logprobs"); logprobs && logprobs->json().is_object()) {
    const Json& of = logprobs->json();
    for (const char* name : {"token_logprobs", "content"})
      if (of.contains(name)) append_logprobs(of[name], found.logprobs);
  }
  return found;
}

// Texts of blocks: of /v1/messages {"content": [{"text"}]}, of /v1/responses {"output": [{"content": [{"text"}]}]}.
void append_texts(const Json& list, std::string& to) {
  if (!list.is_array()) return;
  for (const Json& block : list) {
    if (!block.is_object()) continue;
    if (block.contains("text") && block["text"].is_string()) to += block["text"].get<std::string>();
    if (block.contains("content")) append_texts(block["content"], to);
  }
}

std::vector<Found> outputs_of(const LoggedLine& line, std::string_view reply) {
  const Json json = parse_json(reply, kReply, kReplyJson);
  const JsonFields fields(json, kReply);
  std::vector<Found> found;
  if (has_choices(line)) {
    for (const JsonValue& choice : fields.at("choices").items()) found.push_back(choice_of(choice.fields()));
    return found;
  }
  found.emplace_back();
  for (const char* name : {"content", "output"})
    if (json.contains(name)) append_texts(json[name], found[0].text);
  return found;
}

size_t same_ids(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::string id_at(const std::vector<int32_t>& ids, size_t place) {
  return place < ids.size() ? std::to_string(ids[place]) : "the end";
}

bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

std::string logprob_difference(const LoggedOutput& logged, const Found& found) {
  if (logged.logprobs.empty()) return {};
  if (found.logprobs.size() < logged.logprobs.size()) return "has no log-probabilities, and the log has";
  const size_t prompt = found.logprobs.size() - logged.logprobs.size();
  for (size_t i = 0; i < logged.logprobs.size(); ++i)
    if (!same_bits(found.logprobs[prompt + i], logged.logprobs[i]))
      return fmt::format(
          "has the same tokens, but the log-probability of token {} ({}) is {:.9g} in the log, {:.9g} now", i,
          logged.token_ids[i], logged.logprobs[i], found.logprobs[prompt + i]);
  // An echoed prompt: nothing predicted its first token.
  if (logged.prompt_logprobs.empty() || prompt != logged.prompt_logprobs.size() + 1) return {};
  for (size_t i = 0; i < logged.prompt_logprobs.size(); ++i)
    if (!same_bits(found.logprobs[i + 1], logged.prompt_logprobs[i]))
      return fmt::format(
          "has the same tokens, but the log-probability of the prompt's token {} is {:.9g} in the log, {:.9g} now",
          i + 1, logged.prompt_logprobs[i], found.logprobs[i + 1]);
  return {};
}

bool same_text(const LoggedOutput& logged, std::string_view text) {
  if (text.size() < logged.text_bytes) return false;
  return fnv1a(text.substr(text.size() - logged.text_bytes)) == logged.text_fnv1a;
}

// How many of the logged tokens are in a text that has no ids.
size_t tokens_in(const std::vector<int32_t>& ids, std::string_view text, const TextOfTokens& text_of) {
  size_t least = 0, most = ids.size();
  while (least < most) {
    const size_t middle = (least + most + 1) / 2;
    const std::string begin = text_of({ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(middle)});
    if (text.starts_with(begin))
      least = middle;
    else
      most = middle - 1;
  }
  return least;
}

std::string output_difference(const LoggedOutput& logged, const Found& found, const TextOfTokens& text_of) {
  if (found.ids && *found.ids != logged.token_ids) {
    const size_t place = same_ids(logged.token_ids, *found.ids);
    return fmt::format("differs at token {}: {} in the log, {} now", place, id_at(logged.token_ids, place),
                       id_at(*found.ids, place));
  }
  if (!same_text(logged, found.text)) {
    if (found.ids) return "has the same tokens, but another text";
    if (!text_of) return "has another text";
    const size_t place = tokens_in(logged.token_ids, found.text, text_of);
    return fmt::format("has another text from about token {} on ({} in the log)", place,
                       id_at(logged.token_ids, place));
  }
  return logprob_difference(logged, found);
}

// That output of the log which the reply's may be: of best_of the reply has the best ones in another order.
const LoggedOutput& nearest(const std::vector<LoggedOutput>& logged, const Found& found) {
  const auto likeness = [&](const LoggedOutput& output) {
    return found.ids ? same_ids(output.token_ids, *found.ids) : 0;
  };
  return *std::ranges::max_element(logged, {}, likeness);
}

}  // namespace

std::vector<ReplayCall> replay_calls(const LoggedLine& line, bool keep_model) {
  Json body = parse_json(line.body, "the body of the request", kRequestJson);
  if (!body.is_object()) throw Error("the body of the request is no JSON object");
  if (!keep_model) body.erase("model");
  body.erase("stream_options");
  body["stream"] = false;
  if (has_choices(line)) body["return_token_ids"] = true;
  const size_t prompts = line.prompts.size();
  if (line.drawn_seeds.empty()) return {{.body = to_json_text(body), .first_prompt = 0, .prompts = prompts}};
  if (line.drawn_seeds.size() != std::max<size_t>(1, prompts))
    throw Error("'drawn_seeds' has {} seeds for {} prompts", line.drawn_seeds.size(), prompts);
  const bool list = body.contains("prompt") && is_list_of_prompts(body["prompt"]);
  if (list && body["prompt"].size() != line.drawn_seeds.size())
    throw Error("'drawn_seeds' has {} seeds, and the request {} prompts", line.drawn_seeds.size(),
                body["prompt"].size());
  const Json all = list ? body["prompt"] : Json();
  std::vector<ReplayCall> calls;
  for (size_t i = 0; i < line.drawn_seeds.size(); ++i) {
    if (list) body["prompt"] = all[i];
    body["seed"] = line.drawn_seeds[i];
    calls.push_back({.body = to_json_text(body), .first_prompt = i, .prompts = 1});
  }
  return calls;
}

std::string first_difference(const LoggedLine& line, const ReplayCall& call, std::string_view reply,
                             const TextOfTokens& text_of) {
  const std::vector<Found> found = outputs_of(line, reply);
  const size_t each = call.prompts > 0 ? found.size() / call.prompts : 0;
  if (each == 0 || found.size() % call.prompts != 0)
    throw Error("the reply has {} outputs for {} prompts", found.size(), call.prompts);
  for (size_t i = 0; i < found.size(); ++i) {
    const size_t prompt = call.first_prompt + i / each;
    const std::vector<LoggedOutput>& logged = line.prompts.at(prompt).outputs;
    if (logged.size() < each)
      throw Error("the log has {} outputs of a prompt, the reply {}", logged.size(), each);
    const LoggedOutput& output = logged.size() == each ? logged[i % each] : nearest(logged, found[i]);
    const std::string difference = output_difference(output, found[i], text_of);
    if (difference.empty()) continue;
    return line.prompts.size() > 1 ? fmt::format("output {} of prompt {} {}", i % each, prompt, difference)
                                   : fmt::format("output {} {}", i % each, difference);
  }
  return {};
}

std::string fingerprint_of(std::string_view reply) {
  const Json json = parse_json(reply, kReply, kReplyJson);
  return json.is_object() && json.contains("system_fingerprint") && json["system_fingerprint"].is_string()
             ? json["system_fingerprint"].get<std::string>()
             : std::string();
}

}  // namespace reprise::client

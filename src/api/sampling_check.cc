#include "api/sampling_check.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace reprise::api {
namespace {

void require_count(size_t count, size_t limit, std::string_view field) {
  if (count > limit)
    throw Error("[sampling] {} has {} entries, at most {} are served; shorten it", field, count, limit);
}

void require_bytes(size_t bytes, size_t limit, std::string_view field) {
  if (bytes > limit)
    throw Error("[sampling] {} has {} bytes in all, at most {} are served; shorten it", field, bytes, limit);
}

size_t total_bytes(const std::vector<std::string>& texts) {
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

// What the sizes of the lists say: cheap, and makes all that follows cheap.
void check_sizes(const Sampling& sampling) {
  using Engine = engine::SamplingParams;
  require_count(sampling.stop.size(), kMaxStopStrings, "stop");
  require_bytes(total_bytes(sampling.stop), kMaxStopBytes, "stop");
  for (size_t i = 0; i < sampling.stop.size(); ++i)
    if (!tokenizer::is_valid_utf8(sampling.stop[i]))
      throw Error("[sampling] stop[{}] is not valid UTF-8, so no text can hold it; send whole characters", i);
  require_count(sampling.bad_words.size(), kMaxBadWords, "bad_words");
  require_bytes(total_bytes(sampling.bad_words), kMaxBadWordBytes, "bad_words");
  require_count(sampling.bad_words_token_ids.size(), Engine::kMaxBadWords, "bad_words_token_ids");
  size_t ids = 0;
  for (const std::vector<int32_t>& word : sampling.bad_words_token_ids) ids += word.size();
  if (ids > kMaxBadWordIds)
    throw Error("[sampling] bad_words_token_ids has {} ids in all, at most {} are served; shorten it", ids,
                kMaxBadWordIds);
  require_count(sampling.logit_bias.size(), Engine::kMaxLogitBias, "logit_bias");
  require_count(sampling.stop_token_ids.size(), Engine::kMaxStopTokens, "stop_token_ids");
}

}  // namespace

engine::SamplingParams engine_sampling(const Sampling& sampling) {
  engine::SamplingParams params;
  params.temperature = sampling.temperature;
  params.top_k = sampling.top_k;
  params.top_p = sampling.top_p;
  params.min_p = sampling.min_p;
  params.repetition_penalty = sampling.repetition_penalty;
  params.presence_penalty = sampling.presence_penalty;
  params.frequency_penalty = sampling.frequency_penalty;
  params.logit_bias = sampling.logit_bias;
  params.seed = sampling.seed;
  params.stop_token_ids = sampling.stop_token_ids;
  params.ignore_eos = sampling.ignore_eos;
  params.min_tokens = sampling.min_tokens;
  params.max_tokens = sampling.max_tokens;
  params.bad_words_token_ids = sampling.bad_words_token_ids;
  params.n = sampling.n;
  params.logprobs = sampling.logprobs;
  params.prompt_logprobs = sampling.prompt_logprobs;
  return params;
}

void check_sampling(const Sampling& sampling) {
  constexpr int64_t kAnyVocabulary = int64_t{INT32_MAX} + 1;
  check_sampling(sampling, kAnyVocabulary, -1);
}

void check_sampling(const Sampling& sampling, int64_t vocab_size, int32_t max_logprobs) {
  check_sizes(sampling);
  engine_sampling(sampling).validate(vocab_size, max_logprobs);
}

void check_prompt_size(const Prompt& prompt) {
  const auto check = [](size_t bytes, std::string_view field) {
    if (bytes > kMaxPromptBytes)
      throw Error("[{}] has {} bytes, at most {} are served; shorten it", field, bytes, kMaxPromptBytes);
  };
  if (prompt.text) return check(prompt.text->size(), "prompt");
  if (!prompt.token_ids.empty()) return;
  size_t bytes = prompt.messages_json.size() + prompt.tools_json.size() + prompt.documents_json.size() +
                 prompt.chat_template_kwargs_json.size();
  for (const Message& message : prompt.messages) bytes += message.role.size() + message.content.size();
  check(bytes, "messages");
  if (prompt.messages.size() > kMaxMessages)
    throw Error("[messages] has {} entries, at most {} are served; shorten it", prompt.messages.size(),
                kMaxMessages);
}

}  // namespace reprise::api

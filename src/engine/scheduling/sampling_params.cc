#include "engine/scheduling/sampling_params.h"

#include <cmath>
#include <string_view>

#include "core/error.h"

namespace reprise::engine {
namespace {

// NaN is in no range.
void require(bool in_range, std::string_view field, double value, std::string_view range) {
  if (!in_range)
    throw Error("[sampling] {} is {}, expected {}; send a value in that range", field, value, range);
}

void require_token(int32_t id, int64_t vocab_size, std::string_view field) {
  if (id < 0 || id >= vocab_size)
    throw Error("[sampling] {} names token {}, but the vocabulary has ids 0 to {}; remove that id", field, id,
                vocab_size - 1);
}

void require_count(size_t count, size_t limit, std::string_view field) {
  if (count > limit)
    throw Error("[sampling] {} has {} entries, at most {} are served; shorten it", field, count, limit);
}

void require_logprobs(const std::optional<int32_t>& wanted, std::string_view field, int64_t vocab_size,
                      int32_t max_logprobs) {
  if (!wanted.has_value()) return;
  const int64_t limit = max_logprobs < 0 ? vocab_size : max_logprobs;
  const int64_t count = *wanted == -1 ? vocab_size : *wanted;
  if (*wanted < -1 || count > limit)
    throw Error("[sampling] {} is {}, expected 0 to {}{}; ask for fewer or raise --max-logprobs", field,
                *wanted, limit, max_logprobs < 0 ? ", or -1 for all" : "");
}

}  // namespace

void SamplingParams::validate(int64_t vocab_size, int32_t max_logprobs) const {
  require(temperature >= 0 && std::isfinite(temperature), "temperature", temperature, "0 (greedy) or more");
  require(top_k >= -1, "top_k", top_k, "1 or more, or 0 or -1 to switch it off");
  require(top_p >= 0 && top_p <= 1, "top_p", top_p, "0 to 1");
  require(min_p >= 0 && min_p <= 1, "min_p", min_p, "0 to 1");
  require(repetition_penalty > 0 && std::isfinite(repetition_penalty), "repetition_penalty",
          repetition_penalty, "more than 0");
  require(presence_penalty >= -2 && presence_penalty <= 2, "presence_penalty", presence_penalty, "-2 to 2");
  require(frequency_penalty >= -2 && frequency_penalty <= 2, "frequency_penalty", frequency_penalty,
          "-2 to 2");
  require(n >= 1 && n <= kMaxOutputs, "n", n, fmt::format("1 to {}", kMaxOutputs));
  require(min_tokens >= 0, "min_tokens", min_tokens, "0 or more");
  if (max_tokens.has_value()) {
    require(*max_tokens >= 0, "max_tokens", *max_tokens, "0 or more");
    if (min_tokens > *max_tokens)
      throw Error("[sampling] min_tokens is {}, more than max_tokens {}; lower the one or raise the other",
                  min_tokens, *max_tokens);
  }
  require_count(logit_bias.size(), kMaxLogitBias, "logit_bias");
  for (const auto& [id, bias] : logit_bias) {
    require_token(id, vocab_size, "logit_bias");
    require(bias >= -100 && bias <= 100, fmt::format("logit_bias of token {}", id), bias, "-100 to 100");
  }
  require_count(stop_token_ids.size(), kMaxStopTokens, "stop_token_ids");
  for (int32_t id : stop_token_ids) require_token(id, vocab_size, "stop_token_ids");
  require_count(bad_words_token_ids.size(), kMaxBadWords, "bad_words_token_ids");
  for (const auto& word : bad_words_token_ids) {
    if (word.empty()) throw Error("[sampling] bad_words_token_ids holds an empty sequence; remove it");
    for (int32_t id : word) require_token(id, vocab_size, "bad_words_token_ids");
  }
  require_logprobs(logprobs, "logprobs", vocab_size, max_logprobs);
  require_logprobs(prompt_logprobs, "prompt_logprobs", vocab_size, max_logprobs);
}

}  // namespace reprise::engine

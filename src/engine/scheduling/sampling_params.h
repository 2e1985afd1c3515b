// How the tokens of one request are chosen: the API's fields with their ranges. Stop strings are text and
// are handled above the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace reprise::engine {

struct SamplingParams {
  // Together they bound the persistent buffers of the sampler; validate() refuses more.
  static constexpr size_t kMaxLogitBias = 1024;  // entries
  static constexpr size_t kMaxStopTokens = 256;  // ids
  static constexpr size_t kMaxBadWords = 512;    // sequences
  static constexpr int32_t kMaxOutputs = 128;    // n

  float temperature = 1.0f;         // >= 0; 0 is greedy
  int32_t top_k = 0;                // 0 or -1: off
  float top_p = 1.0f;               // [0, 1]; the most likely token always stays
  float min_p = 0.0f;               // [0, 1], share of the most likely token's probability
  float repetition_penalty = 1.0f;  // > 0; prompt and output tokens
  float presence_penalty = 0.0f;    // [-2, 2]; output tokens
  float frequency_penalty = 0.0f;   // [-2, 2]; output tokens
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // {token id, [-100, 100]}
  std::optional<uint64_t> seed = {};                       // absent: the engine's seed + request number
  std::vector<int32_t> stop_token_ids = {};
  bool ignore_eos = false;
  int32_t min_tokens = 0;                                      // no end of text and no stop id before so many
  std::optional<int32_t> max_tokens = {};                      // >= 0; absent: as far as max_model_len goes
  std::vector<std::vector<int32_t>> bad_words_token_ids = {};  // sequences that are never completed
  int32_t n = 1;                                               // outputs, [1, kMaxOutputs]
  std::optional<int32_t> logprobs = {};         // best tokens listed per position, 0: the chosen one; -1: all
  std::optional<int32_t> prompt_logprobs = {};  // same for the prompt's tokens

  // Throws Error that names field, value, range and what to do. `max_logprobs` -1: no limit.
  void validate(int64_t vocab_size, int32_t max_logprobs) const;

  bool has_penalties() const {
    return repetition_penalty != 1.0f || presence_penalty != 0.0f || frequency_penalty != 0.0f;
  }
};

}  // namespace reprise::engine

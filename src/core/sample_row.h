// What the host plans for each row of logits, and what the sampler of every device reads (ops/sampling.h).
#pragma once

#include <cstdint>

namespace reprise {

enum class SampleMode : int16_t {
  skip,    // a row whose logits nobody reads: nothing is written
  choose,  // the next token
  score,   // the log-probability of `given_token`
};

struct SampleRow {
  // What it writes into `tokens` in place of an id.
  static constexpr int32_t kNothingToChoose = -1;  // no logit is a number above -infinity, and none is NaN
  static constexpr int32_t kNotANumber = -2;       // the logits hold NaN (or +infinity) where it matters

  uint64_t seed = 0;
  uint64_t position = 0;  // of the new token in its output: with seed and stream it fixes the random number
  SampleMode mode = SampleMode::skip;
  int16_t masked = 0;       // 1: the row's mask says which tokens may be chosen
  int32_t bias_count = 0;   // entries used of the row's biases
  int32_t count_begin = 0;  // the row's entries of the history, which all rows share
  int32_t count_count = 0;  // 0 where no penalty is on
  int32_t given_token = -1;
  int32_t top = -1;       // -1: no log-probabilities; k >= 0: that of the token, and the k best
  float temperature = 1;  // below kGreedyBelow: the most likely token
  int32_t top_k = 0;      // <= 0: off
  float top_p = 1;        // >= 1: off
  float min_p = 0;        // 0: off
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  uint32_t stream = 0;  // of the seed

  static constexpr float kGreedyBelow = 1e-5f;
  bool operator==(const SampleRow&) const = default;
};
static_assert(sizeof(SampleRow) == 72);

// 32-bit words of a row's mask: bit `id % 32` of word `id / 32` is 1 where the token may be chosen.
constexpr int64_t mask_words(int64_t vocab) {
  return (vocab + 31) / 32;
}

struct TokenBias {
  int32_t token;
  float bias;  // -infinity forbids the token
  bool operator==(const TokenBias&) const = default;
};

// One entry a distinct token of prompt and output.
struct TokenCount {
  int32_t token;
  int32_t in_output;  // 0: only in the prompt
  bool operator==(const TokenCount&) const = default;
};

}  // namespace reprise

// Chooses the next token of each row of logits, or scores a given one. The host plans what to do in one
// `SampleRow` a row; the kernel's addresses and dims never change, so a step that samples can be recorded.
//
// Order of the steps, as vLLM and FastDeploy have it: logit bias, bad words and minimum length (both are
// biases of -infinity), penalties (repetition, then frequency and presence), temperature, top_k, top_p,
// min_p, and a draw by the inverse of the cumulative distribution. Log-probabilities are those of the raw
// logits. Every sum has one order, so a row's result depends on the row alone.
//
// NaN: a token whose logit is NaN is never chosen. A row of nothing but NaN (and -infinity), and one whose
// log-probabilities are asked for and contain NaN or +infinity, gives kNotANumber; other rows are not touched
// by it.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

enum class SampleMode : int32_t {
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
  int32_t slot = 0;         // row of the biases and of the history
  int32_t bias_count = 0;   // entries used there
  int32_t count_count = 0;  // entries of the history; 0 where no penalty is on
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
};
static_assert(sizeof(SampleRow) == 72);

struct TokenBias {
  int32_t token;
  float bias;  // -infinity forbids the token
};

// One entry a distinct token of prompt and output.
struct TokenCount {
  int32_t token;
  int32_t in_output;  // 0: only in the prompt
};

struct SampleScalars {
  int64_t vocab = 0;
  int64_t max_top = 0;     // columns of top_ids
  int64_t max_biases = 0;  // columns of biases
  int64_t max_counts = 0;  // columns of counts
};

// Largest vocabulary whose working memory fits into a worker's scratch.
constexpr int64_t max_sample_vocab() {
  return static_cast<int64_t>(KernelContext::kScratchBytes / 13);
}

// Items are rows.
//   0 logits f32 [S, vocab]   1 plan SampleRow [S]   2 biases TokenBias [slots, max_biases]
//   3 counts TokenCount [slots, max_counts]
//   4 tokens i32 [S]: the chosen or given token, or kNothingToChoose, kNotANumber
//   5 logprobs f32 [S]   6 top_ids i32 [S, max_top], -1 behind the last   7 top_logprobs f32 [S, max_top]
const Kernel& sample_kernel(Isa isa);

inline LaunchDims sample_dims() {
  return {.items = kSeqs, .grain = 1};
}

}  // namespace reprise::kernels::cpu

// Chooses the next token of each row of logits, or scores a given one. The host plans what to do in one
// `SampleRow` a row; the kernel's addresses and dims never change, so a step that samples can be recorded.
//
// Order of the steps, as vLLM and FastDeploy have it: mask, logit bias, bad words and minimum length (both are
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
#include "core/sample_row.h"

namespace reprise::kernels::cpu {

struct SampleScalars {
  int64_t vocab = 0;
  int64_t max_top = 0;     // columns of top_ids
  int64_t max_biases = 0;  // columns of biases
};

// Largest vocabulary whose working memory fits into a worker's scratch.
constexpr int64_t max_sample_vocab() {
  return static_cast<int64_t>(KernelContext::kScratchBytes / 13);
}

// Items are rows.
//   0 logits f32 [R, vocab]   1 plan SampleRow [R]   2 biases TokenBias [R, max_biases]
//   3 counts TokenCount [entries of all rows]   4 masks u32 [R, mask_words(vocab)]
//   5 tokens i32 [R]: the chosen or given token, or kNothingToChoose, kNotANumber
//   6 logprobs f32 [R]   7 top_ids i32 [R, max_top], -1 behind the last   8 top_logprobs f32 [R, max_top]
const Kernel& sample_kernel(Isa isa);

inline LaunchDims sample_dims() {
  return {.items = kRows, .grain = 1};
}

}  // namespace reprise::kernels::cpu

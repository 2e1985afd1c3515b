// The next tokens, chosen on the device: they are written into persistent buffers that the next step may
// read.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// Persistent buffers of the sampler; rows are those of the step's sequences. Meaning of the entries:
// core/sample_row.h.
struct SampleTensors {
  Tensor plan;          // i8 [R, sizeof(SampleRow)], input
  Tensor biases;        // i32 [R, 2 * max_biases], input: TokenBias
  Tensor counts;        // i32 [entries of all rows, 2], input: TokenCount
  Tensor masks;         // i32 [R, mask_words(vocab)], input
  Tensor tokens;        // i32 [R], state
  Tensor logprobs;      // f32 [R], state
  Tensor top_ids;       // i32 [R, max_top], state
  Tensor top_logprobs;  // f32 [R, max_top], state
};

// logits f32 [R, vocab]
void sample(const Tensor& logits, const SampleTensors& buffers, Where where = Where::current());

extern const OpSchema kSample;

}  // namespace reprise::ops

// The sampler's buffers, whose addresses never change so that a recording may name them, and the code
// that fills them before a step: one plan (SampleRow) for each row of logits. Thread of the engine only.
#pragma once

#include <cstdint>

#include "core/arena.h"
#include "core/host_mirror.h"
#include "engine/scheduling/request.h"
#include "engine/step/step_plan.h"
#include "ops/sampling.h"

namespace reprise::engine {

class SampleBuffers {
 public:
  static constexpr size_t kMaxEos = 256;
  static constexpr int64_t kMaxBiases =
      SamplingParams::kMaxLogitBias + SamplingParams::kMaxStopTokens + SamplingParams::kMaxBadWords + kMaxEos;

  // `max_top`: the most log-probabilities a row may list.
  SampleBuffers(MemorySpace& memory, int64_t max_rows, int64_t max_model_len, int64_t max_top);

  // All rows of the step.
  void fill(const StepPlan& step);
  void plan_skip(int64_t row);
  // The log-probability of a given token, and the `top` best beside it.
  void plan_score(int64_t row, int32_t token, int64_t top);

  // What rows [0, rows) plan becomes the device's, before the step; what they came to becomes the host's,
  // after it (all launches are complete).
  void upload(int64_t rows) const;
  void download(int64_t rows) const;

  // After the download: the row's token, or SampleRow::kNothingToChoose or kNotANumber, both below 0.
  int32_t token(int64_t row) const { return tokens_.as<int32_t>()[row]; }
  // Of a row whose plan asked for log-probabilities.
  TokenScore score(int64_t row) const;

  const ops::SampleTensors& tensors() const { return tensors_; }
  size_t bytes() const { return inputs_.bytes() + state_.bytes(); }
  void touch() {
    inputs_.touch();
    state_.touch();
  }

 private:
  SampleRow& plan(int64_t row) { return plan_.as<SampleRow>()[row]; }

  HeapStore inputs_;
  HeapStore state_;
  int64_t max_model_len_;
  int64_t max_top_;
  ops::SampleTensors tensors_;
  HostMirror plan_, biases_, counts_;                      // of the inputs
  HostMirror tokens_, logprobs_, top_ids_, top_logprobs_;  // of the results
};

}  // namespace reprise::engine

// The sampler's buffers, whose addresses never change so that a recording may name them, and the code
// that fills them before a step: one plan (SampleRow) for each row of logits. Thread of the engine only.
#pragma once

#include <cstdint>
#include <memory>

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

  // `max_top`: the most log-probabilities a row may list; `vocab`: ids of the model. There is no history yet, enough to
  // trace a step.
  SampleBuffers(MemorySpace& memory, int64_t max_rows, int64_t max_top, int64_t vocab);

  // Makes room for the histories of all rows of a step: `entries` distinct tokens in all. `dry`: takes no
  // memory, only bytes() is right. To be called once.
  void allocate_history(int64_t entries, bool dry = false);
  // A token in the history has its position in the KV cache, so as many entries as it has positions are enough.
  static constexpr size_t kHistoryBytes = sizeof(TokenCount);  // of an entry

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
  size_t bytes() const { return inputs_.bytes() + history_->bytes() + state_.bytes(); }
  void touch() {
    inputs_.touch();
    history_->touch();
    state_.touch();
  }

 private:
  const uint32_t* take_mask(const uint32_t* mask, int64_t row);
  SampleRow& plan(int64_t row) { return plan_.as<SampleRow>()[row]; }

  MemorySpace& memory_;
  HeapStore inputs_;
  HeapStore state_;
  std::unique_ptr<HeapStore> outline_;  // the first history, to which traced graphs refer
  std::unique_ptr<HeapStore> history_;
  int64_t max_top_;
  int64_t mask_words_;  // of a row
  int64_t max_counts_ = 0;
  ops::SampleTensors tensors_;
  HostMirror plan_, biases_, counts_, masks_;              // of the inputs
  HostMirror tokens_, logprobs_, top_ids_, top_logprobs_;  // of the results
};

}  // namespace reprise::engine

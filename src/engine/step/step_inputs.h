// The input buffers of a step's forward pass (token ids, positions, slots of the KV cache, block tables),
// filled by the host before each step. Their addresses never change, so that a recording may name them. The
// host fills mirrors (core/host_mirror.h), which upload() carries to the device. Thread of the engine only.
#pragma once

#include <array>
#include <cstdint>

#include "core/arena.h"
#include "core/host_mirror.h"
#include "engine/step/step_limits.h"
#include "engine/step/step_plan.h"
#include "models/model.h"

namespace reprise::engine {

class StepInputs {
 public:
  // `kv` outlives this.
  StepInputs(MemorySpace& memory, const StepLimits& limits, const models::PagedKvView& kv);

  void clear() { sizes_ = {}; }
  // The inputs of `step`, which is within the limits and whose blocks cover its positions.
  void fill(const StepPlan& step);
  // Rows of padding up to these sizes: id 0 at position 0, no slot, no sequence. They don't count in sizes().
  void pad(const StepSizes& padded);

  // What the rows up to these sizes hold becomes the device's: before each step that runs.
  void upload(const StepSizes& sizes) const;

  // The host's side of forward(), row by row.
  struct HostRows {
    int32_t *token_ids, *positions, *rope_lengths, *slots, *seq_of_token;  // [limits.tokens]
    int32_t* block_tables;  // [limits.seqs, blocks of a sequence]
    int32_t* logit_rows;    // [limits.rows]
  };
  const HostRows& host() const { return host_; }

  StepSizes sizes() const { return sizes_; }
  const models::ForwardInput& forward() const { return forward_; }
  size_t bytes() const { return store_.bytes(); }
  void touch() { store_.touch(); }

 private:
  Tensor allocate(const Shape& capacity, const Shape& shape);

  MemorySpace& memory_;
  HeapStore store_;
  StepLimits limits_;
  StepSizes sizes_;
  models::ForwardInput forward_;
  struct Mirror {
    HostMirror mirror;
    Dim bytes;  // of the rows of a step
  };
  std::array<Mirror, 7> mirrors_;
  HostRows host_{};
};

}  // namespace reprise::engine

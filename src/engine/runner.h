// Runs one step of the model over a batch of sequences: fills the persistent inputs, runs the forward pass,
// scores prompt tokens where asked, and samples. The one place that decides by which path a step runs.
#pragma once

#include <cstdint>
#include <span>

#include "core/launch.h"
#include "engine/engine_config.h"
#include "engine/kv_cache.h"
#include "engine/sample_buffers.h"
#include "engine/step_inputs.h"
#include "models/model.h"

namespace reprise {
class Profiler;
}

namespace reprise::engine {

struct BatchItem {
  Sequence* sequence;
  int64_t tokens;  // computed by this step, from sequence->computed on
};

// The largest step, which every buffer is sized for.
struct StepLimits {
  int64_t tokens;
  int64_t rows;  // sequences, and rows of a chunk of prompt log-probabilities
};

// Arena bytes of the largest step, found by running the model's code without its launches.
size_t measure_arena(const models::Model& model, Stream& stream, const EngineConfig& config,
                     const StepLimits& limits, const Tensor& score_rows, const SampleBuffers& samples);

// Thread of the engine only.
class Runner {
 public:
  // Sizes arena and inputs by a dry run and takes the rest of the memory for the KV cache. Throws Error where
  // it doesn't suffice. `model` outlives the runner.
  Runner(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& config);

  // Plan, forward, sample. Results are in samples() until the next step: row i belongs to items[i]. Prompt
  // scores go to their sequences. Counts the step by its path in `counts`. Throws whatever the model's code
  // throws.
  void run(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids, StepCounts& counts);

  const SampleBuffers& samples() const { return samples_; }
  void set_profiler(Profiler* profiler);
  int64_t kv_blocks() const { return kv_blocks_; }
  size_t block_bytes() const { return block_bytes_; }
  size_t kv_bytes() const { return cache_.bytes(); }
  size_t arena_bytes() const { return arena_bytes_; }
  size_t input_bytes() const { return inputs_.bytes() + samples_.bytes(); }

 private:
  void plan_inputs(std::span<const BatchItem> items);
  void plan_samples(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids);
  void score_prompt(const BatchItem& item, int64_t first_row, const Tensor& hidden);

  const models::Model& model_;
  StepLimits limits_;
  Stream stream_;
  Profiler* profiler_ = nullptr;
  size_t block_bytes_;
  HeapStore score_store_{BufferKind::input};
  Tensor score_rows_;  // [S] i32, rows of hidden states
  SampleBuffers samples_;
  size_t arena_bytes_;  // as the dry run found
  StepArena arena_;
  int64_t kv_blocks_;
  KvCache cache_;
  StepInputs inputs_;
};

}  // namespace reprise::engine

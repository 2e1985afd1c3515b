// Runs one step of the model over a batch of sequences: fills the persistent inputs, runs the forward pass by
// the path that the graph backend chooses, scores prompt tokens where asked, and samples.
#pragma once

#include <cstdint>
#include <span>

#include "core/launch.h"
#include "engine/engine_config.h"
#include "engine/graph_backend.h"
#include "engine/kv_cache.h"
#include "engine/memory_report.h"
#include "engine/sample_buffers.h"
#include "engine/step_inputs.h"
#include "engine/step_verifier.h"
#include "models/model.h"

namespace reprise {
class Profiler;
}

namespace reprise::engine {

struct BatchItem {
  Sequence* sequence;
  int64_t tokens;  // computed by this step, from sequence->computed on
};

StepLimits step_limits(const EngineConfig& config);                  // of a resolved config
int64_t logprob_columns(const EngineConfig& config, int64_t vocab);  // the most that a row may list

// Thread of the engine only.
class Runner {
 public:
  // Sizes everything by dry runs, solves the budget for the KV cache, then allocates. `memory`: bytes that
  // this process may use in all, weights among them. `dry`: nothing is allocated and nothing can run;
  // memory() tells what would be. Throws Error where the memory doesn't suffice. `model` outlives the runner.
  Runner(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& config, size_t memory,
         bool dry = false);

  // Plan, forward, sample. Results are in samples() until the next step: row i belongs to items[i]. Prompt
  // scores go to their sequences. Counts the step by its path in `counts`. Throws whatever the model's code
  // throws.
  void run(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids, StepCounts& counts);

  // A decode step of made-up sequences of one token, a KV block each, by the path that it would take: for
  // timing.
  void run_idle(int64_t batch);

  // Compares every capture with the model's own code, its padding poisoned; what differs is given up and
  // told. No request may hold KV blocks.
  std::vector<std::string> verify_captures();
  const VerifyStats& verified() const { return verified_; }  // of steps sampled while serving

  const SampleBuffers& samples() const { return samples_; }
  void set_profiler(Profiler* profiler);
  MemoryReport planned() const { return planned_; }
  MemoryReport memory() const;  // what the allocators hold
  // Lays the largest step out in the arena, runs none of it, and makes every page resident that the plan
  // counts, as use would in the end. Returns what each allocator then says by itself, to be compared with
  // planned().
  MemoryReport touch();
  GraphBackend& graph() { return backend_; }
  const GraphBackend& graph() const { return backend_; }

 private:
  void plan_inputs(std::span<const BatchItem> items);
  void plan_samples(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids);
  void forward_and_sample(const StepPath& path, const StepShape& shape);
  void run_scoring(const StepPath& path, std::span<const BatchItem> items,
                   std::span<const int32_t> eos_token_ids);
  void set_eager_sizes();
  StepVerifier verifier();
  void verify(const StepPath& path, const StepShape& shape);
  void score_prompt(const BatchItem& item, int64_t first_row, const Tensor& hidden);
  void lay_out_eagerly(StepArena& arena);
  size_t eager_peak();

  const models::Model& model_;
  StepLimits limits_;
  int level_;
  bool eager_steps_;  // whole steps may run by the model's own code
  int64_t verify_sample_;
  int64_t steps_ = 0;
  VerifyStats verified_;
  Stream stream_;
  Profiler* profiler_ = nullptr;
  size_t block_bytes_;
  HeapStore score_store_{BufferKind::input};
  Tensor score_rows_;  // [S] i32, rows of hidden states
  SampleBuffers samples_;
  KvCache cache_;
  StepInputs inputs_;
  GraphBackend backend_;
  size_t eager_peak_;  // arena of what runs launch by launch, as a dry run found
  MappedMemory arena_;
  StepArena eager_arena_;
  MemoryReport planned_;
};

}  // namespace reprise::engine

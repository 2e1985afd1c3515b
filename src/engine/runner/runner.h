// Runs one step of the model, as a plan says it: fills the step's input buffers, runs the forward pass (the
// model's code, the static graph or a replay), computes log-probabilities of prompt tokens where asked, and
// samples. Owns all memory of a step: input buffers, arena, KV cache.
#pragma once

#include <cstdint>
#include <span>

#include "core/host_mirror.h"
#include "core/launch.h"
#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "engine/kv/kv_store.h"
#include "engine/replay/graph_backend.h"
#include "engine/runner/memory_report.h"
#include "engine/step/sample_buffers.h"
#include "engine/step/step_inputs.h"
#include "engine/step/step_plan.h"
#include "engine/verify/step_verifier.h"
#include "models/model.h"

namespace reprise {
class Profiler;
}

namespace reprise::engine {

// Thread of the engine only.
class Runner {
 public:
  // Finds the size of everything by dry runs, gives the KV cache what is left of `memory` (bytes that
  // this process may use in all, weights among them), then allocates. `dry`: allocates no memory for
  // steps and can't run; planned() says what it would take. Throws Error (does_not_fit) where `memory` does not
  // hold one sequence of max_model_len, Error where the system refuses memory. `model` outlives
  // the runner.
  Runner(const models::Model& model, const EngineServices& services, const EngineConfig& config,
         size_t memory, bool dry = false);

  // One step, which is within the limits and names KV blocks that exist. Results are in samples() and scores()
  // until the next one. Throws whatever the model's code throws, and CaptureError where the path is a replay
  // that isn't there or would not compute this step; the next step can run then.
  void run(const StepPlan& step);

  // For timing: a decode step of `batch` made-up sequences of one token. Overwrites KV blocks 1 to
  // `batch`.
  void run_idle(int64_t batch);

  // Compares every capture with the model's own code, with NaN in its padding (step_verifier.h). One that
  // differs is no longer used and described in the result. No request may hold KV blocks.
  std::vector<std::string> verify_captures();
  const VerifyStats& verified() const { return verified_; }  // of steps sampled while serving

  const SampleBuffers& samples() const { return samples_; }
  // Of StepPlan::scores, in that order. A token id below 0 says that the logits were no numbers.
  std::span<TokenScore> scores() { return scores_; }
  void set_profiler(Profiler* profiler);
  MemoryReport planned() const { return planned_; }
  MemoryReport memory() const;  // what the allocators hold
  // For tests of the plan: makes every page resident that the largest step would use, without running it,
  // and returns what each allocator then holds, to be compared with planned().
  MemoryReport touch();
  // Gives the memory of the KV cache and of the steps' intermediates back to the system until a step uses it.
  // No request may hold KV blocks.
  void discard() noexcept;
  GraphBackend& graph() { return backend_; }
  const GraphBackend& graph() const { return backend_; }

 private:
  void forward_and_sample(const StepPath& path, const StepShape& shape);
  void publish(int64_t rows);
  void run_scoring(const StepPlan& step);
  void score_prompts(const StepPlan& step, const Tensor& hidden);
  void set_eager_sizes();  // and uploads the inputs
  StepVerifier verifier();
  void verify(const StepPath& path, const StepShape& shape);
  void lay_out_eagerly(StepArena& arena);
  size_t eager_peak();

  const models::Model& model_;
  StepLimits limits_;
  int level_;
  bool eager_steps_;  // whole steps may run by the model's own code (level 0, --graph-verify)
  int64_t verify_sample_;
  int64_t steps_ = 0;
  VerifyStats verified_;
  Stream stream_;
  Profiler* profiler_ = nullptr;
  size_t block_bytes_;
  HeapStore score_store_;
  Tensor score_rows_;  // [R] i32, rows of hidden states
  HostMirror host_score_rows_;
  SampleBuffers samples_;
  std::vector<TokenScore> scores_;
  StepPlan idle_;
  KvStore cache_;
  StepInputs inputs_;
  GraphBackend backend_;
  size_t eager_peak_;  // arena bytes of what runs launch by launch, found by a dry run
  MemoryRange arena_;
  StepArena eager_arena_;
  MemoryReport planned_;
};

}  // namespace reprise::engine

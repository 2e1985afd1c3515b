// GraphOptimizationBackend: decides by which path a step runs and runs it. Level 0 leaves uncaptured steps to
// the model's own code; from level 1 on they walk the static graph; with `use_cudagraph` steps are captured
// once and replayed, at any level. Captures happen between steps, largest first, or all before ready. Each is
// made twice with other contents of the inputs, and isn't used where the two differ (the two-capture diff).
// Semantics: docs/graph-optimization.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/binding.h"
#include "core/arena.h"
#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "engine/replay/captured_step.h"
#include "engine/replay/choose_path.h"
#include "engine/replay/step_graphs.h"
#include "engine/step/sample_buffers.h"
#include "engine/step/step_inputs.h"
#include "engine/step/step_limits.h"
#include "graph/constant_folder.h"

namespace reprise::engine {

struct GraphStats {
  int64_t captures = 0;          // done
  int64_t capture_failures = 0;  // captures given up, by an error, the two-capture diff or --graph-verify
  int64_t pending = 0;           // still to come
  double capture_s = 0;          // recording, in all, the two-capture diff included
  double compare_s = 0;          // the two-capture diff of it
  double warmup_s = 0;           // eager runs before captures
  int64_t launches = 0;          // of one decode step as captured; of a prefill step where none is
  std::string failure = {};      // of the last capture that failed
};

// Thread of the engine only.
class GraphBackend {
 public:
  // Traces the model, runs the passes, lays out the memory; nothing is allocated but folded constants. `dry`:
  // these are not computed either, and it can't start. All arguments but `services` and `config` outlive this.
  // Throws Error where the model doesn't take part in graph optimisation, or can't be traced at a level that
  // needs it.
  GraphBackend(const models::Model& model, const EngineServices& services, Stream& stream,
               const EngineConfig& config, const StepLimits& limits, StepInputs& inputs,
               SampleBuffers& samples, bool dry = false);
  ~GraphBackend();

  size_t arena_bytes() const { return arena_bytes_; }      // that all programs share
  size_t private_bytes() const { return private_bytes_; }  // arenas of captures with a pool of their own
  size_t constant_bytes() const { return folder_.bytes(); }
  size_t graph_object_bytes() const { return graph_object_bytes_; }

  // The KV cache has its final tensors. `arena`: arena_bytes(), outlives this. Captures may begin.
  void start(std::byte* arena);

  // The path of the next step.
  StepPath choose(const StepShape& step) const;
  // Runs forward and sample by a path that isn't eager: inputs and plans of the samples are filled. Throws
  // CaptureError where a replay would not compute this step: other sizes than it serves, an input that moved.
  void run(const StepPath& path, const StepShape& shape, Profiler* profiler);
  // The static graph of a step that scores prompt tokens (level >= 1): hidden states and logits.
  models::ForwardOutput run_scores();
  const graph::Value& hidden_type() const;  // of what run_scores() returns

  // For checks. The capture that `path` names (null: the path isn't a replay), what it was made from, its
  // logits.
  CapturedStep* captured(const StepPath& path, const StepShape& shape);
  graph::Executor& executor(const StepPath& path, const StepShape& shape);
  const Tensor& logits(const StepPath& path, const StepShape& shape);
  // Memory of the intermediates of what runs by that path: an arena of the capture's own where it has one.
  std::span<std::byte> arena_of(const StepPath& path, const StepShape& shape);
  // What the two-capture diff found in a capture that was given up for it; "" otherwise.
  const std::string& difference_of(bool prefill, size_t index) const;
  // Pads and uploads the inputs as run() does and returns the padded sizes.
  StepSizes prepare(const StepPath& path, const StepShape& shape);
  // Steps of this capture run uncaptured from now on.
  void give_up(bool prefill, size_t index, const std::string& why);
  bool is_captured(bool prefill, size_t index) const;

  // One piece of capturing (a warm-up run or a capture), between steps. False where none is left. Throws
  // nothing: a piece that throws fails its capture, which stats() counts and names, and steps run without it.
  bool capture_next();

  GraphStats stats() const { return stats_; }
  size_t held_object_bytes() const;
  size_t held_private_bytes() const;
  void touch_private();  // arenas of captures with a pool of their own
  const ResolvedGraph& config() const { return config_; }
  const StepGraphs& graphs() const { return graphs_; }
  // Nodes of captured steps that run eagerly, once each.
  std::vector<Split> splits() const;

 private:
  // A graph laid out for the largest step of a class.
  struct Program {
    graph::Graph graph;
    graph::MemoryPlan plan;
    std::unique_ptr<graph::Executor> executor;
  };
  struct Capture {
    int64_t size = 0;  // tokens, at most where one recording serves every size
    int64_t warmups_left = 0;
    Program* program = nullptr;
    std::unique_ptr<Program> own;  // where use_unique_memory_pool is false
    MemoryRange own_arena;
    std::unique_ptr<CapturedStep> step;
    std::optional<capture::Binding> binding;  // what must still hold when the step is replayed
    std::string difference;                   // that the two-capture diff found
  };
  // One kind of steps: captures and their states, by place in the list of sizes.
  struct Captures {
    bool split = false;
    std::vector<Capture> list;
    std::vector<CaptureState> states;
  };

  Program lay_out(const graph::Graph& graph, StepSizes largest) const;
  StepSizes largest_of(int64_t size, bool prefill) const;
  void plan_captures(const SizeList& sizes, bool prefill, Captures& captures);
  size_t dry_capture_bytes(const Program& program, bool split);
  void pad(const StepSizes& real, const StepSizes& padded);
  void upload(const StepSizes& sizes) const;
  Captures& captures_of(const StepShape& shape);
  void warm_up(Capture& capture, bool prefill);
  void capture(Captures& captures, size_t index);
  void fail_capture(Captures& captures, size_t index) noexcept;
  capture::Binding bind(const Captures& captures, size_t index) const;
  bool capture_next(Captures& captures);

  const models::Model& model_;
  Stream& stream_;
  StepLimits limits_;
  ResolvedGraph config_;
  StepInputs& inputs_;
  SampleBuffers& samples_;
  graph::EagerFolder folder_;
  StepGraphs graphs_;
  std::optional<Program> decode_, general_, scores_;
  Captures decode_captures_, prefill_captures_;
  size_t arena_bytes_ = 0;
  size_t private_bytes_ = 0;
  size_t graph_object_bytes_ = 0;
  std::byte* arena_ = nullptr;        // that all programs share
  std::vector<const Tensor*> bound_;  // the step's inputs as they are now
  GraphStats stats_;
};

}  // namespace reprise::engine

// What is needed to trace, lay out and record a step of a model without running it: input buffers, a KV
// cache of one block, a stream. For reports and checks (`reprise graph`, capture_lint.h); the model may
// be a skeleton.
#pragma once

#include "core/launch.h"
#include "engine/engine_services.h"
#include "engine/kv/kv_store.h"
#include "engine/replay/captured_step.h"
#include "engine/replay/graph_backend.h"
#include "engine/replay/step_graphs.h"
#include "engine/step/sample_buffers.h"
#include "engine/step/step_inputs.h"
#include "graph/constant_folder.h"
#include "graph/memory_plan.h"

namespace reprise::engine {

class DryStep {
 public:
  // `config` is resolved. `model` outlives this.
  DryStep(const models::Model& model, const EngineServices& services, const EngineConfig& config);

  // Throws CaptureError where the model's code can't be traced.
  // `explain`: its groups say all that reports say about them.
  StepGraphs trace(int level, const graph::PassOptions& passes = {}, bool explain = false);
  graph::MemoryPlan lay_out(const graph::Graph& graph, const StepSizes& largest);
  StepSizes decode_sizes() const { return class_of({.tokens = 1}, limits_); }
  StepSizes largest_sizes() const { return class_of({.tokens = limits_.tokens}, limits_); }

  // Fills every input that changes from step to step, differently for each `content`: a recording that
  // depends on one of them then differs.
  void fill(int content);

  Stream& stream() { return stream_; }

 private:
  const models::Model& model_;
  EngineServices services_;
  int64_t max_model_len_;
  StepLimits limits_;
  Stream stream_;
  KvStore cache_;
  SampleBuffers samples_;
  StepInputs inputs_;
  graph::EagerFolder folder_;
};

}  // namespace reprise::engine

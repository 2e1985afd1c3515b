// The static graphs of a step: the model's forward pass and the choice of the next tokens, traced once from
// the model's own code and rewritten by the passes of the level.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/passes/pass.h"
#include "graph/tracer.h"
#include "models/model.h"
#include "ops/sampling.h"

namespace reprise::engine {

struct StepGraphs {
  graph::Graph traced;  // forward and sample, as the model's code says it
  graph::Graph step;    // the same after the passes
  graph::Graph scores;  // forward alone, hidden states kept: steps that score prompt tokens (level >= 1)
  std::vector<graph::PassRun> passes;   // of `step`
  std::vector<graph::GroupRun> groups;  // of `step`, at level 2
  double trace_us = 0;                  // of `traced`
  double pass_us = 0;
};

struct StepGraphOptions {
  int level = 0;  // 0: no passes
  int64_t max_model_len = 0;
  graph::ConstantFolder* folder = nullptr;
  graph::KernelCompiler* compiler = nullptr;  // level 2
  graph::PassOptions passes = {};
  bool explain = false;  // StepGraphs::groups say all that reports say about them
};

// What the host fills before a step and what survives it: the tensors as they are now. `found` is
// overwritten; nothing is allocated where its capacity suffices.
void collect_inputs(const models::ForwardInput& input, const ops::SampleTensors& samples,
                    std::vector<const Tensor*>& found);
// The same in the same order, by name: token_ids, positions, ..., keys.0, values.0,
// ..., sample.plan, ...
std::vector<graph::NamedTensor> named_inputs(const models::ForwardInput& input,
                                             const ops::SampleTensors& samples);

// Forward and sample as the model's own code says it, without passes. Throws CaptureError where the code
// can't be traced.
graph::Graph trace_step(const models::Model& model, const models::ForwardInput& input,
                        const ops::SampleTensors& samples);
// Throws CaptureError (dynamic_launch) with the first line that differs, as both graphs print it: the model's
// code did other things for other contents of the inputs.
void require_same_code(const graph::Graph& a, const graph::Graph& b);

// Throws CaptureError where the model's code can't be traced.
StepGraphs build_step_graphs(const models::Model& model, const models::ForwardInput& input,
                             const ops::SampleTensors& samples, const StepGraphOptions& options);

// Puts tensors of the same names in the place of a graph's inputs and state: the real KV cache for the one
// that was traced with.
void rebind(graph::Graph& graph, const std::vector<graph::NamedTensor>& tensors);

}  // namespace reprise::engine

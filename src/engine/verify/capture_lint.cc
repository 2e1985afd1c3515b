#include "engine/verify/capture_lint.h"

#include <optional>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "engine/verify/dry_step.h"

namespace reprise::engine {
CaptureLint lint_capture(const models::Model& model, const EngineServices& services,
                         const EngineConfig& config) {
  DryStep step(model, services, config);
  CaptureLint lint;
  StepGraphs graphs;
  std::optional<graph::Graph> again;
  step.fill(0);
  try {
    graphs = step.trace(config.graph.graph_opt_level);
    step.fill(1);
    again = step.trace(/*level=*/0).traced;
  } catch (const CaptureError& error) {
    lint.untraceable = error.what();
    return lint;
  }
  lint.groups = graphs.groups;
  try {
    require_same_code(graphs.traced, *again);
  } catch (const CaptureError& error) {
    lint.difference = error.what();
  }
  const bool split = config.graph.use_cudagraph && !config.graph.full_cuda_graph;
  for (const StepSizes& sizes : {step.largest_sizes(), step.decode_sizes()}) {
    const graph::MemoryPlan plan = step.lay_out(graphs.step, sizes);
    const MemoryRange untouched(host_memory(), plan.bytes);  // addresses, of which no page is ever used
    graph::Executor executor(graphs.step, plan, untouched.data(), step.stream());
    step.fill(0);
    const CapturedStep first(executor, step.stream(), sizes, split);
    step.fill(1);
    if (lint.difference.empty()) lint.difference = first.difference_now();
    lint.splits = first.splits();
    lint.launches = first.launches();
  }
  return lint;
}

}  // namespace reprise::engine

#include "engine/capture_lint.h"

#include <sstream>

#include "capture/compare.h"
#include "core/capture_rules.h"
#include "engine/dry_step.h"
#include "graph/text.h"

namespace reprise::engine {
namespace {

// The first line that differs, as both graphs have it.
std::string text_difference(const graph::Graph& a, const graph::Graph& b) {
  std::istringstream in_a(graph::print(a)), in_b(graph::print(b));
  for (std::string line_a, line_b;;) {
    const bool more_a = static_cast<bool>(std::getline(in_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(in_b, line_b));
    if (!more_a && !more_b) return "";
    if (!more_a) line_a = "(nothing)";
    if (!more_b) line_b = "(nothing)";
    if (line_a != line_b)
      return CaptureError(
                 CaptureRule::dynamic_launch, "", "",
                 fmt::format("the code does other things for other inputs: '{}' and '{}'", line_a, line_b))
          .what();
  }
}

std::string recording_difference(const CapturedStep& a, const CapturedStep& b) {
  if (a.replays().size() != b.replays().size())
    return CaptureError(CaptureRule::dynamic_launch, "", "",
                        fmt::format("{} recorded parts for some inputs and {} for others", a.replays().size(),
                                    b.replays().size()))
        .what();
  for (size_t i = 0; i < a.replays().size(); ++i)
    if (const auto found =
            capture::first_difference(a.replays()[i]->recording(), b.replays()[i]->recording()))
      return CaptureError(CaptureRule::dynamic_launch, found->op, found->layer,
                          fmt::format("kernel {} differs in two captures with other inputs: {}",
                                      found->kernel, found->what))
          .what();
  return "";
}

}  // namespace

CaptureLint lint_capture(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& config) {
  DryStep step(model, team, isa, config);
  CaptureLint lint;
  StepGraphs graphs;
  step.fill(0);
  try {
    graphs = step.trace(config.graph.graph_opt_level);
    step.fill(1);
    lint.difference = text_difference(graphs.traced, step.trace(/*level=*/0).traced);
  } catch (const CaptureError& error) {
    lint.untraceable = error.what();
    return lint;
  }
  const bool split = config.graph.use_cudagraph && !config.graph.full_cuda_graph;
  for (const StepSizes& sizes : {step.largest_sizes(), step.decode_sizes()}) {
    const graph::MemoryPlan plan = step.lay_out(graphs.step, sizes);
    const MappedMemory untouched(plan.bytes);  // addresses, of which no page is ever used
    graph::Executor executor(graphs.step, plan, untouched.data(), step.stream());
    step.fill(0);
    const CapturedStep first(executor, step.stream(), sizes, split);
    step.fill(1);
    const CapturedStep second(executor, step.stream(), sizes, split);
    if (lint.difference.empty()) lint.difference = recording_difference(first, second);
    lint.splits = first.splits();
    lint.launches = first.launches();
  }
  return lint;
}

}  // namespace reprise::engine

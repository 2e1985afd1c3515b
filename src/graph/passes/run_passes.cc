// Runs the list: each pass is timed, and verified against the graph before it, so that a broken graph names
// the pass that broke it.
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/nearest.h"
#include "graph/passes/pass.h"
#include "graph/verify.h"

namespace reprise::graph {
namespace {

void check_names(const std::vector<std::string>& names) {
  std::vector<std::string_view> known;
  for (const Pass& pass : pass_list())
    if (std::find(known.begin(), known.end(), pass.name) == known.end()) known.push_back(pass.name);
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string_view nearest = nearest_name(name, known);
    throw Error("[graph] there is no pass '{}'{}; the passes are {}", name,
                nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest), fmt::join(known, ", "));
  }
}

}  // namespace

std::vector<PassRun> run_passes(Graph& graph, PassContext& context, const PassOptions& options) {
  using Clock = std::chrono::steady_clock;
  check_names(options.disabled);
  verify(graph, "tracing");
  std::vector<PassRun> runs;
  for (const Pass& pass : pass_list()) {
    if (std::find(options.disabled.begin(), options.disabled.end(), pass.name) != options.disabled.end())
      continue;
    const Graph before = graph;
    PassRun run{.name = pass.name, .nodes_before = graph.nodes.size()};
    const Clock::time_point start = Clock::now();
    run.changed = pass.run(graph, context);
    run.microseconds = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    run.nodes_after = graph.nodes.size();
    verify(graph, pass.name, &before);
    if (options.after_each) options.after_each(pass, graph);
    runs.push_back(run);
  }
  return runs;
}

}  // namespace reprise::graph

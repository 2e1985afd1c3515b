// Runs the list: each pass is timed, and verified against the graph before it, so that a broken graph names
// the pass that broke it.
#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "graph/passes/pass.h"
#include "graph/verify.h"

namespace reprise::graph {
namespace {

// Levenshtein's distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t k = 0; k < b.size(); ++k) {
      const size_t replaced = diagonal + (a[i] == b[k] ? 0 : 1);
      diagonal = row[k + 1];
      row[k + 1] = std::min({replaced, row[k] + 1, row[k + 1] + 1});
    }
  }
  return row.back();
}

void check_names(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto nearer = [&](const Pass& a, const Pass& b) {
      return distance(name, a.name) < distance(name, b.name);
    };
    const std::span<const Pass> passes = pass_list();
    const Pass& nearest = *std::min_element(passes.begin(), passes.end(), nearer);
    if (nearest.name != name)
      throw Error("[graph] there is no pass '{}'; did you mean '{}'?", name, nearest.name);
  }
}

}  // namespace

std::vector<PassRun> run_passes(Graph& graph, PassContext& context, const PassOptions& options) {
  using Clock = std::chrono::steady_clock;
  check_names(options.disabled);
  verify(graph, "tracing");
  std::vector<PassRun> runs;
  for (const Pass& pass : pass_list()) {
    if (pass.reassociates && !options.allow_reassociation) continue;
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

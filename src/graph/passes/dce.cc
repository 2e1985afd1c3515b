// What nobody reads need not be computed: left-overs of a model's code (a hidden state that is not returned,
// lengths that a table made superfluous) cost time, hold memory and count as uses that forbid fusions.
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace reprise::graph {

bool dce(Graph& graph, PassContext&) {
  std::vector<bool> read(graph.values.size());
  for (const GraphOutput& output : graph.outputs) read[static_cast<size_t>(output.value)] = true;
  std::vector<bool> dead(graph.nodes.size());
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    bool needed = has_effects(node);
    for (const ValueId output : node.outputs) needed = needed || read[static_cast<size_t>(output)];
    dead[i] = !needed;
    if (!needed) continue;
    for (const ValueId input : node.inputs)
      if (input != kNone) read[static_cast<size_t>(input)] = true;
  }
  const size_t nodes = graph.nodes.size(), values = graph.values.size();
  compact(graph, dead);
  return graph.nodes.size() != nodes || graph.values.size() != values;
}

}  // namespace reprise::graph

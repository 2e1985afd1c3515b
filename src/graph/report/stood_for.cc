#include <algorithm>

#include "graph/report/report.h"

namespace reprise::graph {

std::vector<std::vector<NodeId>> nodes_stood_for(const Graph& graph, const Graph& traced) {
  const auto known = [&](int32_t id) { return id >= 0 && static_cast<size_t>(id) < traced.values.size(); };
  std::vector<bool> survives(traced.values.size());
  for (const Value& value : graph.values)
    if (known(value.traced)) survives[static_cast<size_t>(value.traced)] = true;
  std::vector<std::vector<NodeId>> result(graph.nodes.size());
  std::vector<NodeId> reached_by(traced.nodes.size(), kNone);  // the last of `graph`'s nodes that did
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    std::vector<ValueId> open;
    for (const ValueId output : graph.nodes[i].outputs)
      if (known(graph.value(output).traced)) open.push_back(graph.value(output).traced);
    while (!open.empty()) {
      const NodeId producer = traced.value(open.back()).producer;
      open.pop_back();
      if (producer == kNone || reached_by[static_cast<size_t>(producer)] == static_cast<NodeId>(i)) continue;
      reached_by[static_cast<size_t>(producer)] = static_cast<NodeId>(i);
      result[i].push_back(producer);
      for (const ValueId input : traced.node(producer).inputs)
        if (input != kNone && !survives[static_cast<size_t>(input)]) open.push_back(input);
    }
    std::sort(result[i].begin(), result[i].end());
  }
  return result;
}

}  // namespace reprise::graph

// A model may ask twice for the same value (angles for every layer, rows of the same hidden state); an op of
// the same inputs and attributes gives the same bits, so the first answer serves all. A state that was
// written in between is another input, so reads of two versions stay apart.
#include <bit>
#include <map>
#include <utility>

#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace reprise::graph {
namespace {

bool same(const ops::AttrValue& a, const ops::AttrValue& b) {
  // 0.0 and -0.0 compare equal and are not the same.
  if (const double* x = std::get_if<double>(&a))
    if (const double* y = std::get_if<double>(&b))
      return std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y);
  return a == b;
}

bool same(const std::vector<ops::AttrValue>& a, const std::vector<ops::AttrValue>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!same(a[i], b[i])) return false;
  return true;
}

}  // namespace

bool cse(Graph& graph, PassContext&) {
  std::vector<ValueId> first_of(graph.values.size());  // the value that stands for each
  for (size_t i = 0; i < first_of.size(); ++i) first_of[i] = static_cast<ValueId>(i);
  const auto replace = [&](ValueId& value) {
    if (value != kNone) value = first_of[static_cast<size_t>(value)];
  };
  std::map<std::pair<const ops::OpSchema*, std::vector<ValueId>>, std::vector<NodeId>> known;
  std::vector<bool> dead(graph.nodes.size());
  bool changed = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    for (ValueId& input : node.inputs) replace(input);
    if (has_effects(node)) continue;
    std::vector<NodeId>& candidates = known[{node.schema, node.inputs}];
    for (const NodeId candidate : candidates) {
      const Node& first = graph.node(candidate);
      if (!same(first.attrs, node.attrs)) continue;
      for (size_t k = 0; k < node.outputs.size(); ++k)
        first_of[static_cast<size_t>(node.outputs[k])] = first.outputs[k];
      dead[i] = changed = true;
      break;
    }
    if (!dead[i]) candidates.push_back(static_cast<NodeId>(i));
  }
  for (GraphOutput& output : graph.outputs) replace(output.value);
  if (changed) compact(graph, dead);
  return changed;
}

}  // namespace reprise::graph

// A node that reads nothing but constants gives the same bits in every step: it is run once at start and its
// outputs become constants. Bounded, because a small computation may well have a large result.
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace reprise::graph {
namespace {

bool reads_constants_only(const Graph& graph, const Node& node) {
  bool any = false;
  for (const ValueId input : node.inputs) {
    if (input == kNone) continue;
    if (graph.value(input).kind != ValueKind::weight) return false;
    any = true;
  }
  return any;
}

size_t bytes_of_outputs(const Graph& graph, const Node& node) {
  int64_t bytes = 0;
  for (const ValueId output : node.outputs)
    bytes += graph.value(output).shape.elements().constant *
             static_cast<int64_t>(size_of(graph.value(output).dtype));
  return static_cast<size_t>(bytes);
}

}  // namespace

bool constant_folding(Graph& graph, PassContext& context) {
  if (context.folder == nullptr) return false;
  size_t left = context.max_table_bytes;
  std::vector<bool> dead(graph.nodes.size());
  bool changed = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (has_effects(node) || !reads_constants_only(graph, node)) continue;
    const size_t bytes = bytes_of_outputs(graph, node);
    if (bytes > left) continue;
    left -= bytes;
    const std::vector<Tensor> tensors = context.folder->fold(graph, node);
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      Value& value = graph.value(node.outputs[k]);
      value.kind = ValueKind::weight;
      value.name = "folded." + value.name;
      value.producer = kNone;
      value.output = 0;
      value.tensor = tensors[k];
    }
    dead[i] = changed = true;
  }
  if (changed) compact(graph, dead);
  return changed;
}

}  // namespace reprise::graph

// An output may take the storage of an input that nobody reads afterwards, where the kernel allows it: the
// arena is smaller and the cache lines are there already. Only intermediates give their storage away.
#include "graph/passes/passes.h"

namespace reprise::graph {
namespace {

Dim bytes_of(const Value& value) {
  return value.shape.elements() * static_cast<int64_t>(size_of(value.dtype));
}

}  // namespace

bool in_place(Graph& graph, PassContext&) {
  const Uses uses = uses_of(graph);
  bool changed = false;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    const auto gives = [&](size_t input, size_t output) {
      const ValueId id = node.inputs[input];
      if (id == kNone) return false;
      const Value& value = graph.value(id);
      if (value.kind != ValueKind::result || value.previous != kNone ||
          uses.returned[static_cast<size_t>(id)])
        return false;
      // Read twice by this node, the second reader might come after the write.
      const std::vector<NodeId>& readers = uses.nodes[static_cast<size_t>(id)];
      if (readers.back() != static_cast<NodeId>(i)) return false;
      if (readers.size() > 1 && readers[readers.size() - 2] == static_cast<NodeId>(i)) return false;
      return bytes_of(value) == bytes_of(graph.value(node.outputs[output]));
    };
    uint32_t taken = 0;
    const size_t computed = static_cast<size_t>(computed_outputs(node));
    for (size_t output = 0; output < computed; ++output) {
      if (node.shares[output] != kNone) continue;
      const uint32_t allowed = node.schema->may_share[output] & ~taken;
      for (size_t input = 0; input < node.inputs.size(); ++input) {
        if ((allowed >> input & 1) == 0 || !gives(input, output)) continue;
        node.shares[output] = static_cast<int8_t>(input);
        taken |= 1u << input;
        changed = true;
        break;
      }
    }
  }
  return changed;
}

}  // namespace reprise::graph

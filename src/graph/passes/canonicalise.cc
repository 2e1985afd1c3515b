// a + b and b + a are the same bits, so models may write either; here the operand that is defined first goes
// first. Then equal sums look equal to cse, and a residual stands before what is added to it.
#include <utility>

#include "graph/passes/passes.h"
#include "ops/elementwise.h"

namespace reprise::graph {

bool canonicalise(Graph& graph, PassContext&) {
  const auto place = [&](ValueId id) {
    const Value& value = graph.value(id);
    return value.producer == kNone ? std::pair(kNone, id) : std::pair(value.producer, ValueId{value.output});
  };
  bool changed = false;
  for (Node& node : graph.nodes) {
    if (node.schema != &ops::kAdd && node.schema != &ops::kMul) continue;
    if (place(node.inputs[0]) <= place(node.inputs[1])) continue;
    std::swap(node.inputs[0], node.inputs[1]);
    changed = true;
  }
  return changed;
}

}  // namespace reprise::graph

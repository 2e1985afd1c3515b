// The residual sum and the norm that follows it read the same row; the fused op keeps it in cache between the
// two. The sum stays an output of its own, since the next residual needs it, so it may have any other uses.
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"
#include "ops/elementwise.h"
#include "ops/norm.h"

namespace reprise::graph {
namespace {

// The first norm of whole rows of the sum that may run where the sum is made.
NodeId norm_of(const Graph& graph, const Rewrite& rewrite, NodeId add) {
  const ValueId sum = graph.node(add).outputs[0];
  NodeId first = kNone;
  for (const NodeId user : rewrite.users(sum)) {
    const Node& norm = graph.node(user);
    if (norm.schema != &ops::kRmsNorm || (first != kNone && first < user)) continue;
    const Shape& row = graph.value(sum).shape;
    if (row.rank() != 2 || graph.value(norm.inputs[1]).shape != Shape{row[1]}) continue;
    const NodeId parts[] = {add, user};
    if (rewrite.may_run_at(add, parts)) first = user;
  }
  return first;
}

}  // namespace

bool fuse_add_norm(Graph& graph, PassContext&) {
  Rewrite rewrite(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto add = static_cast<NodeId>(i);
    if (!rewrite.alive(add) || graph.node(add).schema != &ops::kAdd) continue;
    const NodeId norm = norm_of(graph, rewrite, add);
    if (norm == kNone) continue;
    const Node& sum = graph.node(add);
    const Node& normed = graph.node(norm);
    const NodeId parts[] = {add, norm};
    rewrite.replace(add, parts,
                    {.schema = &ops::kAddRmsNorm,
                     .inputs = {sum.inputs[0], sum.inputs[1], normed.inputs[1]},
                     .attrs = normed.attrs,
                     .outputs = {sum.outputs[0], normed.outputs[0]}});
  }
  return rewrite.finish();
}

}  // namespace reprise::graph

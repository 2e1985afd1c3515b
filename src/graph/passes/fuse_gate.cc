// mul(act(gate), up) of a gated MLP goes through memory once instead of twice. The fused op rounds where the
// two do, so the bits are theirs.
#include <utility>

#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"
#include "ops/elementwise.h"

namespace reprise::graph {
namespace {

struct Gate {
  const ops::OpSchema& activation;
  const ops::OpSchema& fused;  // (gate, up)
};
constexpr Gate kGates[] = {
    {ops::kSilu, ops::kSiluMul}, {ops::kGelu, ops::kGeluMul}, {ops::kGeluTanh, ops::kGeluTanhMul}};

bool fuse(Graph& graph, Rewrite& rewrite, NodeId mul, size_t gate_input) {
  const ValueId activated = graph.node(mul).inputs[gate_input];
  const ValueId up = graph.node(mul).inputs[1 - gate_input];
  for (const Gate& gate : kGates) {
    const NodeId activation = rewrite.producer(activated, gate.activation);
    if (activation == kNone) continue;
    const NodeId parts[] = {activation, mul};
    if (!rewrite.only_by(activated, mul) || !rewrite.may_run_at(mul, parts)) return false;
    Node fused{.schema = &gate.fused,
               .inputs = {graph.node(activation).inputs[0], up},
               .outputs = graph.node(mul).outputs};
    rewrite.replace(mul, parts, std::move(fused));
    return true;
  }
  return false;
}

}  // namespace

bool fuse_gate(Graph& graph, PassContext&) {
  Rewrite rewrite(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (!rewrite.alive(node) || graph.node(node).schema != &ops::kMul) continue;
    if (!fuse(graph, rewrite, node, 0)) fuse(graph, rewrite, node, 1);
  }
  return rewrite.finish();
}

}  // namespace reprise::graph

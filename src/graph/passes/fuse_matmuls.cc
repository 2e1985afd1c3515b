// Matmuls of the same x (q, k and v; gate and up) become one launch over the panels of all their weights: x
// is turned into the kernel's form once, and small weights share one fork of the team. Each output element is
// still its own chain of operations. Only neighbours are taken, with no effect between them, so that no value
// lives much longer than it did.
#include <algorithm>
#include <utility>

#include "core/fault.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"
#include "ops/matmul.h"

namespace reprise::graph {
namespace {

enum MatmulInput { kMatmulX, kWeight, kBias };
constexpr size_t kMaxWeights = ops::Outputs::kMax;

// One kernel reads all weights of a group.
bool packed_alike(const Graph& graph, const Node& a, const Node& b) {
  const Value& weight = graph.value(a.inputs[kWeight]);
  const Value& other = graph.value(b.inputs[kWeight]);
  return weight.dtype == other.dtype && weight.packing == other.packing;
}

// `first` and the matmuls after it that may run with it, in their order.
std::vector<NodeId> group_of(const Graph& graph, const Rewrite& rewrite, NodeId first) {
  const Node& matmul = graph.node(first);
  std::vector<NodeId> others;
  for (const NodeId user : rewrite.users(matmul.inputs[kMatmulX])) {
    const Node& other = graph.node(user);
    const NodeId pair[] = {first, user};
    if (user > first && other.schema == &ops::kMatmul && other.inputs[kMatmulX] == matmul.inputs[kMatmulX] &&
        other.attrs == matmul.attrs && packed_alike(graph, matmul, other) &&
        !rewrite.effects_between(first, user) && rewrite.may_run_at(first, pair))
      others.push_back(user);
  }
  std::sort(others.begin(), others.end());
  std::vector<NodeId> group = {first};
  for (const NodeId other : others)
    if (group.size() < kMaxWeights && group.back() != other) group.push_back(other);
  return group;
}

}  // namespace

bool fuse_matmuls(Graph& graph, PassContext&) {
  Rewrite rewrite(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto first = static_cast<NodeId>(i);
    if (!rewrite.alive(first) || graph.node(first).schema != &ops::kMatmul) continue;
    const std::vector<NodeId> group = group_of(graph, rewrite, first);
    if (group.size() < 2) continue;
    Node fused{.schema = &ops::kMatmulGroup,
               .inputs = {graph.node(first).inputs[kMatmulX]},
               .attrs = graph.node(first).attrs};
    for (const NodeId part : group) {
      const Node& matmul = graph.node(part);
      fused.inputs.insert(fused.inputs.end(), {matmul.inputs[kWeight], matmul.inputs[kBias]});
      fused.outputs.push_back(matmul.outputs[0]);
    }
    if (fault_is_on(Fault::pass_swaps_outputs))
      std::swap(fused.outputs.back(), fused.outputs[fused.outputs.size() - 2]);
    fused.inputs.resize(ops::kMatmulGroup.input_names.size(), kNone);
    rewrite.replace(first, group, std::move(fused));
  }
  return rewrite.finish();
}

}  // namespace reprise::graph

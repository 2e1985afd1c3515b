// What happens to q and k between their projections and attention (norms of heads, rotation, the write into
// the cache) is little work in up to five launches that each touch every head; the fused op does it head by
// head. It stands where the write stood and defines the same versions of the cache, so attention still comes
// after it. Angles that were looked up in a table are looked up by the op itself.
#include <optional>

#include "core/fault.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/rotary_kv_write.h"

namespace reprise::graph {
namespace {

enum WriteInput { kK, kV, kSlots, kKeys, kValues };
enum WriteAttr { kKvHeads, kHeadDim, kBlockSize };
enum RotaryInput { kRotaryX, kCos, kSin };
enum RotaryAttr { kRotaryHeadDim, kStyle, kRoundProducts };

// rotary(x) or rotary(rms_norm(x, weight)).
struct Turned {
  ValueId x;
  ValueId weight = kNone;
};

class Fusion {
 public:
  Fusion(const Graph& graph, Rewrite& rewrite, NodeId write)
      : graph_(graph), rewrite_(rewrite), write_(write), parts_{write} {}

  bool run() {
    const Node& write = graph_.node(write_);
    const NodeId k_rotary = rewrite_.producer(write.inputs[kK], ops::kRotary);
    const NodeId q_rotary = k_rotary == kNone ? kNone : rotary_of_q(k_rotary);
    if (q_rotary == kNone || !rewrite_.only_by(write.inputs[kK], write_)) return false;
    const Turned k = turned(k_rotary), q = turned(q_rotary);
    if (!rewrite_.may_run_at(write_, parts_)) return false;
    const Node& rotary = graph_.node(k_rotary);
    const Angles angles = angles_of(rotary);
    rewrite_.replace(
        write_, parts_,
        {.schema = &ops::kRotaryKvWrite,
         .inputs = {q.x, k.x, write.inputs[kV], q.weight, k.weight, angles.cos, angles.sin, angles.positions,
                    write.inputs[kSlots], write.inputs[kKeys], write.inputs[kValues]},
         .attrs = {write.attrs[kKvHeads], write.attrs[kHeadDim], write.attrs[kBlockSize],
                   rotary.attrs[kStyle], rotary.attrs[kRoundProducts], eps_.value_or(0.0)},
         .outputs = {graph_.node(q_rotary).outputs[0], write.outputs[0], write.outputs[1]}});
    return true;
  }

 private:
  struct Angles {
    ValueId cos, sin, positions;
  };

  // The rotation, with k's angles, of the q whose attention sees what is written here.
  NodeId rotary_of_q(NodeId k_rotary) const {
    const Node& of_k = graph_.node(k_rotary);
    if (of_k.attrs[kRotaryHeadDim] != graph_.node(write_).attrs[kHeadDim]) return kNone;
    for (const NodeId reader : rewrite_.users(graph_.node(write_).outputs[0])) {
      if (graph_.node(reader).schema != &ops::kPagedAttention) continue;
      const NodeId rotary = rewrite_.producer(graph_.node(reader).inputs[0], ops::kRotary);
      if (rotary == kNone || rotary == k_rotary) continue;
      const Node& of_q = graph_.node(rotary);
      if (of_q.attrs == of_k.attrs && of_q.inputs[kCos] == of_k.inputs[kCos] &&
          of_q.inputs[kSin] == of_k.inputs[kSin] && graph_.value(of_q.inputs[kRotaryX]).shape[0] == kTokens)
        return rotary;
    }
    return kNone;
  }

  // Takes the rotation, and the norm before it where that is of heads and nobody else reads it.
  Turned turned(NodeId rotary) {
    parts_.push_back(rotary);
    const ValueId x = graph_.node(rotary).inputs[kRotaryX];
    const NodeId norm = rewrite_.producer(x, ops::kRmsNorm);
    if (norm == kNone || !rewrite_.only_by(x, rotary)) return {x};
    const ValueId weight = graph_.node(norm).inputs[1];
    const double eps = std::get<double>(graph_.node(norm).attrs[0]);
    if (graph_.value(weight).shape != Shape{std::get<int64_t>(graph_.node(write_).attrs[kHeadDim])} ||
        eps_.value_or(eps) != eps)
      return {x};
    eps_ = eps;
    parts_.push_back(norm);
    return {graph_.node(norm).inputs[0], weight};
  }

  // The tables and the positions, where the angles are rows of constant tables.
  Angles angles_of(const Node& rotary) const {
    const NodeId cos = rewrite_.producer(rotary.inputs[kCos], ops::kGatherRows);
    const NodeId sin = rewrite_.producer(rotary.inputs[kSin], ops::kGatherRows);
    const Angles rows{rotary.inputs[kCos], rotary.inputs[kSin], kNone};
    if (cos == kNone || sin == kNone) return rows;
    const Node& of_cos = graph_.node(cos);
    const Node& of_sin = graph_.node(sin);
    const ValueId positions = of_cos.inputs[1];
    if (of_sin.inputs[1] != positions || graph_.value(positions).kind != ValueKind::input ||
        graph_.value(of_cos.inputs[0]).kind != ValueKind::weight ||
        graph_.value(of_sin.inputs[0]).kind != ValueKind::weight)
      return rows;
    return {of_cos.inputs[0], of_sin.inputs[0], positions};
  }

  const Graph& graph_;
  Rewrite& rewrite_;
  NodeId write_;
  std::vector<NodeId> parts_;
  std::optional<double> eps_;  // of the norms taken so far
};

// The fault: attention without its dependency on the write.
void read_stale_cache(Graph& graph) {
  for (Node& node : graph.nodes)
    if (node.schema == &ops::kPagedAttention)
      for (ValueId& input : node.inputs)
        if (const ValueId previous = graph.value(input).previous; previous != kNone) input = previous;
}

}  // namespace

bool fuse_rotary_kv(Graph& graph, PassContext&) {
  Rewrite rewrite(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const auto node = static_cast<NodeId>(i);
    if (rewrite.alive(node) && graph.node(node).schema == &ops::kKvWrite) Fusion(graph, rewrite, node).run();
  }
  if (fault_is_on(Fault::pass_drops_dependency)) read_stale_cache(graph);
  return rewrite.finish();
}

}  // namespace reprise::graph

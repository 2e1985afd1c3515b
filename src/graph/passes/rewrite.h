// What fusions share: to find the nodes of a pattern, to prove that they may run at one place, and to put one
// node there instead. The fused node defines the very values that its parts defined, so nothing that reads
// them changes, state versions and `traced` ids among them.
#pragma once

#include <span>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

// It writes state, or nothing is known about it: it is never dropped, merged or run at another time.
bool has_effects(const Node& node);

class Rewrite {
 public:
  explicit Rewrite(Graph& graph);

  // The live node that computes `value` if it is of `schema`; kNone otherwise, and for an absent value.
  NodeId producer(ValueId value, const ops::OpSchema& schema) const;
  bool alive(NodeId node) const { return !dead_[static_cast<size_t>(node)]; }
  // Live nodes that read `value`, one entry a use, in no order.
  std::span<const NodeId> users(ValueId value) const { return uses_.nodes[static_cast<size_t>(value)]; }
  // Nobody else reads it, so it need not exist once it is fused into `node`.
  bool only_by(ValueId value, NodeId node) const { return uses_.only_by(value, node); }

  // Whether `parts` may all run at the place of `at`, which is one of them: their inputs are computed by then
  // and not yet overwritten, no node in between needs what they compute, and no write to a state moves ahead
  // of a read of it.
  bool may_run_at(NodeId at, std::span<const NodeId> parts) const;
  // Whether a node in between (both excluded) has effects.
  bool effects_between(NodeId first, NodeId second) const;

  // `fused` takes the place of `at`, its layer and source too; `parts`, of which `at` is one, are removed.
  // Values that only they named disappear in finish().
  void replace(NodeId at, std::span<const NodeId> parts, Node fused);

  // Drops the nodes that were removed and the values that nothing uses. True: something was replaced. Ids are
  // new afterwards.
  bool finish();

 private:
  bool may_run_later(NodeId node, NodeId at, std::span<const NodeId> parts) const;
  bool may_run_earlier(NodeId node, NodeId at, std::span<const NodeId> parts) const;

  Graph& graph_;
  Uses uses_;
  std::vector<ValueId> next_;  // by ValueId: the version of the state that follows it
  std::vector<bool> dead_;
  bool changed_ = false;
};

}  // namespace reprise::graph

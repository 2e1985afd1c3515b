#include "graph/passes/rewrite.h"

#include <algorithm>
#include <utility>

namespace reprise::graph {
namespace {

bool among(NodeId node, std::span<const NodeId> parts) {
  return std::find(parts.begin(), parts.end(), node) != parts.end();
}

}  // namespace

bool has_effects(const Node& node) {
  return node.schema->mutated_inputs != 0 || node.schema->kind == ops::OpKind::opaque;
}

Rewrite::Rewrite(Graph& graph)
    : graph_(graph), uses_(uses_of(graph)), next_(graph.values.size(), kNone), dead_(graph.nodes.size()) {
  for (size_t i = 0; i < graph.values.size(); ++i)
    if (const ValueId previous = graph.values[i].previous; previous != kNone)
      next_[static_cast<size_t>(previous)] = static_cast<ValueId>(i);
}

NodeId Rewrite::producer(ValueId value, const ops::OpSchema& schema) const {
  if (value == kNone) return kNone;
  const NodeId node = graph_.value(value).producer;
  return node != kNone && graph_.node(node).schema == &schema ? node : kNone;
}

bool Rewrite::may_run_at(NodeId at, std::span<const NodeId> parts) const {
  return std::all_of(parts.begin(), parts.end(), [&](NodeId part) {
    return part < at ? may_run_later(part, at, parts) : part == at || may_run_earlier(part, at, parts);
  });
}

bool Rewrite::may_run_later(NodeId node, NodeId at, std::span<const NodeId> parts) const {
  for (const ValueId output : graph_.node(node).outputs)
    for (const NodeId user : users(output))
      if (user < at && !among(user, parts)) return false;
  for (const ValueId input : graph_.node(node).inputs) {
    const ValueId newer = input == kNone ? kNone : next_[static_cast<size_t>(input)];
    if (newer == kNone) continue;
    const NodeId writer = graph_.value(newer).producer;
    if (writer <= at && writer != node) return false;
  }
  return true;
}

bool Rewrite::may_run_earlier(NodeId node, NodeId at, std::span<const NodeId> parts) const {
  for (const ValueId input : graph_.node(node).inputs)
    if (input != kNone && graph_.value(input).producer > at && !among(graph_.value(input).producer, parts))
      return false;
  for (const ValueId output : graph_.node(node).outputs)
    if (const ValueId previous = graph_.value(output).previous; previous != kNone)
      for (const NodeId reader : users(previous))
        if (reader >= at && reader != node) return false;
  return true;
}

bool Rewrite::effects_between(NodeId first, NodeId second) const {
  for (NodeId node = first + 1; node < second; ++node)
    if (alive(node) && has_effects(graph_.node(node))) return true;
  return false;
}

void Rewrite::replace(NodeId at, std::span<const NodeId> parts, Node fused) {
  for (const NodeId part : parts) {
    dead_[static_cast<size_t>(part)] = true;
    for (const ValueId input : graph_.node(part).inputs)
      if (input != kNone) std::erase(uses_.nodes[static_cast<size_t>(input)], part);
  }
  Node& node = graph_.nodes[static_cast<size_t>(at)];
  fused.layer = std::move(node.layer);
  fused.source = std::move(node.source);
  node = std::move(fused);
  dead_[static_cast<size_t>(at)] = false;
  for (const ValueId input : node.inputs)
    if (input != kNone) uses_.nodes[static_cast<size_t>(input)].push_back(at);
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    graph_.value(node.outputs[i]).producer = at;
    graph_.value(node.outputs[i]).output = static_cast<int>(i);
  }
  changed_ = true;
}

bool Rewrite::finish() {
  if (changed_) compact(graph_, dead_);
  return changed_;
}

}  // namespace reprise::graph

// Level 2: groups of nodes become single ops whose kernels a compiler generated. Which nodes fit one kernel is
// the compiler's knowledge; that they may run at one place is proved here. A group that the compiler fails on, or
// that is no faster as one kernel, stays as it is, and that is noted.
#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "core/error.h"
#include "graph/kernel_compiler.h"
#include "graph/passes/passes.h"
#include "graph/passes/rewrite.h"

namespace reprise::graph {
namespace {

bool contains(const std::vector<int32_t>& list, int32_t id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

class Grouping {
 public:
  Grouping(Graph& graph, PassContext& context)
      : graph_(graph),
        context_(context),
        rewrite_(graph),
        returned_(graph.values.size()),
        in_parts_(graph.nodes.size()),
        only_begins_(graph.nodes.size()) {
    for (const GraphOutput& output : graph.outputs) returned_[static_cast<size_t>(output.value)] = true;
  }

  bool run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const auto first = static_cast<NodeId>(i);
      while (may_begin(first) && begin_at(first) == Outcome::taken_apart) {
      }
    }
    return rewrite_.finish();
  }

 private:
  enum class Outcome { done, taken_apart };

  // What was compiled before is a node of its own; alone in a group there is nothing more to gain.
  bool may_begin(NodeId first) const {
    const Node& node = graph_.node(first);
    return rewrite_.alive(first) && node.schema->generated == nullptr &&
           !in_parts_[static_cast<size_t>(first)];
  }

  Outcome begin_at(NodeId first) {
    FusionGroup group = group_of({first});
    if (!fits(group)) return Outcome::done;
    while (!has_effects(graph_.node(first)) && grow(group)) {
    }
    return context_.compiler->gains(graph_, group) ? compile(group) : Outcome::done;
  }

  FusionGroup group_of(std::vector<NodeId> nodes) const {
    FusionGroup group{.nodes = std::move(nodes), .inputs = {}, .outputs = {}};
    std::vector<ValueId> inside;
    // A node with effects, which is alone, keeps each version of a state that it makes.
    const bool all = has_effects(graph_.node(group.nodes.back()));
    for (const NodeId node : group.nodes) {
      for (const ValueId input : graph_.node(node).inputs)
        if (input != kNone && !contains(inside, input) && !contains(group.inputs, input))
          group.inputs.push_back(input);
      for (const ValueId output : graph_.node(node).outputs) inside.push_back(output);
    }
    for (const ValueId value : inside) {
      const std::span<const NodeId> users = rewrite_.users(value);
      const bool read =
          std::any_of(users.begin(), users.end(), [&](NodeId user) { return !contains(group.nodes, user); });
      if (all || read || returned_[static_cast<size_t>(value)]) group.outputs.push_back(value);
    }
    return group;
  }

  bool has_places(const FusionGroup& group) const {
    return group.inputs.size() <= ops::OpCall::kMaxInputs && group.outputs.size() <= ops::Outputs::kMax;
  }
  bool may_be_one(const FusionGroup& group) const {
    return !group.outputs.empty() && rewrite_.may_run_at(group.nodes.back(), group.nodes) &&
           context_.compiler->accepts(graph_, group);
  }
  bool fits(const FusionGroup& group) const { return has_places(group) && may_be_one(group); }

  // Takes in a node that reads what the group computes, the nearest that fits. On the way to a tree's end more values
  // may be open than an op has outputs, so several nodes are taken at once where one alone would be too many.
  bool grow(FusionGroup& group) const {
    bool lacks_places = false;
    for (FusionGroup& larger : larger_by_one(group)) {
      if (!may_be_one(larger)) continue;
      if (has_places(larger)) {
        group = std::move(larger);
        return true;
      }
      lacks_places = true;
    }
    constexpr int kMostAtOnce = 12;
    FusionGroup open = group;
    for (int i = 0; lacks_places && i < kMostAtOnce; ++i) {
      std::vector<FusionGroup> larger = larger_by_one(open);
      const auto next = std::ranges::find_if(larger, [&](const FusionGroup& of) { return may_be_one(of); });
      if (next == larger.end()) return false;
      open = std::move(*next);
      if (!has_places(open)) continue;
      group = std::move(open);
      return true;
    }
    return false;
  }

  bool may_join(NodeId node) const {
    return node != kNone && rewrite_.alive(node) && !has_effects(graph_.node(node)) &&
           graph_.node(node).schema->generated == nullptr && !in_parts_[static_cast<size_t>(node)] &&
           !only_begins_[static_cast<size_t>(node)];
  }

  // The group with one of the nodes behind it that read its results, nearest first; each with what else, after the
  // group's first node, makes what that node reads, and without.
  std::vector<FusionGroup> larger_by_one(const FusionGroup& group) const {
    std::vector<NodeId> readers;
    for (const ValueId value : group.outputs)
      for (const NodeId user : rewrite_.users(value))
        if (may_join(user) && user > group.nodes.back() && !contains(readers, user)) readers.push_back(user);
    std::sort(readers.begin(), readers.end());
    std::vector<FusionGroup> larger;
    for (const NodeId reader : readers) {
      std::vector<NodeId> nodes = group.nodes;
      nodes.push_back(reader);
      std::vector<NodeId> with_siblings = nodes;
      for (size_t i = nodes.size() - 1; i < with_siblings.size(); ++i)
        for (const ValueId input : graph_.node(with_siblings[i]).inputs)
          if (const NodeId maker = input == kNone ? kNone : graph_.value(input).producer;
              may_join(maker) && maker > group.nodes.front() && !contains(with_siblings, maker) &&
              context_.compiler->accepts(graph_, group_of({maker})))
            with_siblings.push_back(maker);
      if (with_siblings.size() > nodes.size()) {
        std::sort(with_siblings.begin(), with_siblings.end());
        larger.push_back(group_of(std::move(with_siblings)));
      }
      larger.push_back(group_of(std::move(nodes)));
    }
    return larger;
  }

  Outcome compile(const FusionGroup& group) {
    Outcome outcome = Outcome::done;
    GroupRun run{.layer = graph_.node(group.nodes.back()).layer, .ops = {}, .kernel = {}, .failure = {}};
    for (const NodeId node : group.nodes) run.ops.emplace_back(graph_.node(node).schema->name);
    if (context_.explain) explain(group, run);
    const ops::OpSchema* schema = nullptr;
    try {
      schema = &context_.compiler->compile(graph_, group);
      run.kernel = schema->name;
    } catch (const SlowerThanParts& measured) {
      outcome = stays_in_parts(group);
      run.in_parts = measured.what();
    } catch (const std::exception& error) {
      run.failure = error.what();
    }
    if (context_.explain) run.facts = context_.compiler->facts(graph_, group);
    if (schema != nullptr)
      rewrite_.replace(group.nodes.back(), group.nodes,
                       {.schema = schema, .inputs = group.inputs, .outputs = group.outputs});
    if (context_.groups != nullptr) context_.groups->push_back(std::move(run));
    return outcome;
  }

  // A matmul without what comes before it may be faster, and what stands around it as groups of their own. Of other
  // groups a part could be faster, too; whether it is would be found at a later start, and so on.
  Outcome stays_in_parts(const FusionGroup& group) {
    const auto matmul = std::ranges::find_if(
        group.nodes, [&](NodeId node) { return graph_.node(node).schema->kind == ops::OpKind::matmul; });
    if (matmul == group.nodes.end() || group.nodes.size() == 1) {
      for (const NodeId node : group.nodes) in_parts_[static_cast<size_t>(node)] = true;
      return Outcome::done;
    }
    (matmul == group.nodes.begin() ? in_parts_ : only_begins_)[static_cast<size_t>(*matmul)] = true;
    return Outcome::taken_apart;
  }

  void explain(const FusionGroup& group, GroupRun& run) const {
    std::vector<NodeId> around;
    const auto note = [&](NodeId node) {
      if (node != kNone && rewrite_.alive(node) && !contains(group.nodes, node) && !contains(around, node))
        around.push_back(node);
    };
    for (const NodeId id : group.nodes) {
      const Node& node = graph_.node(id);
      if (!node.source.empty() && std::ranges::find(run.sources, node.source) == run.sources.end())
        run.sources.push_back(node.source);
      const FusionGroup alone = group_of({id});
      run.bytes_of_parts = run.bytes_of_parts + row_bytes(alone.inputs) + row_bytes(node.outputs);
    }
    run.bytes = row_bytes(group.inputs) + row_bytes(group.outputs);
    for (const ValueId input : group.inputs) note(graph_.value(input).producer);
    const size_t makers = around.size();
    for (const ValueId output : group.outputs)
      for (const NodeId user : rewrite_.users(output)) note(user);
    for (size_t i = 0; i < around.size(); ++i)
      run.neighbours.push_back({.op = std::string(graph_.node(around[i]).schema->name),
                                .why_not = why_not(group, around[i]),
                                .reads = i >= makers});
  }

  // Of values with a row for each token or sequence; what is read once a launch counts nothing.
  Dim row_bytes(const std::vector<ValueId>& values) const {
    Dim bytes;
    for (const ValueId id : values) {
      const Value& value = graph_.value(id);
      const Dim elements = value.shape.elements();
      if (!elements.is_constant()) bytes = bytes + elements * static_cast<int64_t>(size_of(value.dtype));
    }
    return bytes;
  }

  // Why the neighbour is not in the group.
  std::string why_not(const FusionGroup& group, NodeId neighbour) const {
    const Node& node = graph_.node(neighbour);
    if (has_effects(node)) return "it writes to a state";
    if (has_effects(graph_.node(group.nodes.front()))) return "the group writes to a state";
    if (node.schema->generated != nullptr) return "it is in a group of its own";
    if (in_parts_[static_cast<size_t>(neighbour)]) return "it is in a group that stays in parts";
    if (only_begins_[static_cast<size_t>(neighbour)] && neighbour > group.nodes.front())
      return "as one kernel they are no faster";
    std::vector<NodeId> nodes = group.nodes;
    nodes.insert(std::upper_bound(nodes.begin(), nodes.end(), neighbour), neighbour);
    const FusionGroup larger = group_of(std::move(nodes));
    if (std::string why = context_.compiler->why_not(graph_, larger); !why.empty()) return why;
    if (larger.inputs.size() > ops::OpCall::kMaxInputs || larger.outputs.size() > ops::Outputs::kMax)
      return fmt::format("{} inputs and {} outputs are more than an op has", larger.inputs.size(),
                         larger.outputs.size());
    if (!rewrite_.may_run_at(larger.nodes.back(), larger.nodes))
      return "what runs in between needs what the group computes, or makes what it needs";
    if (!context_.compiler->accepts(graph_, larger)) return "the compiler does not take it";
    return "groups grow from what makes a value to what reads it";
  }

  Graph& graph_;
  PassContext& context_;
  Rewrite rewrite_;
  std::vector<bool> returned_;
  // By node: of groups that stay in parts; no group grows into it, since the one that did stays in parts.
  std::vector<bool> in_parts_, only_begins_;
};

}  // namespace

bool compile_groups(Graph& graph, PassContext& context) {
  return context.compiler != nullptr && Grouping(graph, context).run();
}

}  // namespace reprise::graph

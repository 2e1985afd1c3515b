// Level 2: groups of nodes become single ops whose kernels a compiler generated. Which nodes fit one kernel is
// the compiler's knowledge; that they may run at one place is proved here. A group that the compiler fails on
// stays as it is, and the failure is noted.
#include <algorithm>
#include <exception>
#include <string>
#include <utility>

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
      : graph_(graph), context_(context), rewrite_(graph), returned_(graph.values.size()) {
    for (const GraphOutput& output : graph.outputs) returned_[static_cast<size_t>(output.value)] = true;
  }

  bool run() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const auto first = static_cast<NodeId>(i);
      if (!rewrite_.alive(first) || has_effects(graph_.node(first))) continue;
      FusionGroup group = group_of({first});
      if (!fits(group)) continue;
      while (grow(group)) {
      }
      // What was compiled before is a node of its own; alone in a group there is nothing more to gain.
      if (graph_.node(group.nodes.front()).schema->generated == nullptr) compile(group);
    }
    return rewrite_.finish();
  }

 private:
  FusionGroup group_of(std::vector<NodeId> nodes) const {
    FusionGroup group{.nodes = std::move(nodes), .inputs = {}, .outputs = {}};
    std::vector<ValueId> inside;
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
      if (read || returned_[static_cast<size_t>(value)]) group.outputs.push_back(value);
    }
    return group;
  }

  bool fits(const FusionGroup& group) const {
    return group.inputs.size() <= ops::OpCall::kMaxInputs && group.outputs.size() <= ops::Outputs::kMax &&
           !group.outputs.empty() && rewrite_.may_run_at(group.nodes.back(), group.nodes) &&
           context_.compiler->accepts(graph_, group);
  }

  // Takes in one node that reads what the group computes, the nearest that fits.
  bool grow(FusionGroup& group) const {
    std::vector<NodeId> readers;
    for (const ValueId value : group.outputs)
      for (const NodeId user : rewrite_.users(value))
        if (rewrite_.alive(user) && user > group.nodes.back() && !contains(readers, user) &&
            !has_effects(graph_.node(user)) && graph_.node(user).schema->generated == nullptr)
          readers.push_back(user);
    std::sort(readers.begin(), readers.end());
    for (const NodeId reader : readers) {
      std::vector<NodeId> nodes = group.nodes;
      nodes.push_back(reader);
      FusionGroup larger = group_of(std::move(nodes));
      if (!fits(larger)) continue;
      group = std::move(larger);
      return true;
    }
    return false;
  }

  void compile(const FusionGroup& group) {
    GroupRun run{.layer = graph_.node(group.nodes.back()).layer, .ops = {}, .kernel = {}, .failure = {}};
    for (const NodeId node : group.nodes) run.ops.emplace_back(graph_.node(node).schema->name);
    try {
      const ops::OpSchema& schema = context_.compiler->compile(graph_, group);
      run.kernel = schema.name;
      rewrite_.replace(group.nodes.back(), group.nodes,
                       {.schema = &schema, .inputs = group.inputs, .outputs = group.outputs});
    } catch (const std::exception& error) {
      run.failure = error.what();
    }
    if (context_.groups != nullptr) context_.groups->push_back(std::move(run));
  }

  Graph& graph_;
  PassContext& context_;
  Rewrite rewrite_;
  std::vector<bool> returned_;
};

}  // namespace

bool compile_groups(Graph& graph, PassContext& context) {
  return context.compiler != nullptr && Grouping(graph, context).run();
}

}  // namespace reprise::graph

#include "graph/verify.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "core/error.h"
#include "graph/text.h"

namespace reprise::graph {
namespace {

// How often each state is written, and which of its versions the producer of each traced value reads: what a
// pass has to keep.
struct StateUse {
  std::map<std::string_view, int> writes;                                // by the state's name
  std::map<int32_t, std::map<std::string_view, std::set<int>>> touches;  // by Value::traced

  // `graph` is sound.
  StateUse(const Graph& graph, bool with_own_writes) {
    std::vector<int> version(graph.values.size(), 0);
    for (const Node& node : graph.nodes) {
      std::map<std::string_view, std::set<int>> touched;
      for (const ValueId input : node.inputs)
        if (input != kNone && graph.value(root_of(graph, input)).kind == ValueKind::state)
          touched[graph.value(root_of(graph, input)).name].insert(version[static_cast<size_t>(input)]);
      for (const ValueId output : node.outputs) {
        const Value& value = graph.value(output);
        if (value.previous == kNone) continue;
        const std::string_view state = graph.value(root_of(graph, output)).name;
        version[static_cast<size_t>(output)] = ++writes[state];
        if (with_own_writes) touched[state].insert(version[static_cast<size_t>(output)]);
      }
      if (touched.empty()) continue;
      for (const ValueId output : node.outputs)
        if (const Value& value = graph.value(output); value.traced != kNone && value.previous == kNone)
          touches[value.traced] = touched;
    }
  }
};

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph) {}

  std::vector<std::string> problems(const Graph* before) {
    // Later checks follow ids, so they need sound ones.
    check_ids();
    if (problems_.empty()) check_values();
    if (problems_.empty()) {
      for (size_t i = 0; i < graph_.nodes.size(); ++i) check_node(static_cast<NodeId>(i));
      check_outputs();
      check_sharing();
    }
    if (problems_.empty() && before != nullptr) check_against(*before);
    return std::move(problems_);
  }

 private:
  template <typename... Args>
  void graph_problem(fmt::format_string<Args...> format, Args&&... args) {
    problems_.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void node_problem(NodeId id, fmt::format_string<Args...> format, Args&&... args) {
    const Node& node = graph_.node(id);
    problems_.push_back(fmt::format("node {} ({}, layer '{}'): ", id,
                                    node.schema == nullptr ? "no op" : node.schema->name, node.layer) +
                        fmt::format(format, std::forward<Args>(args)...));
  }
  bool in_range(ValueId value) const {
    return value >= 0 && static_cast<size_t>(value) < graph_.values.size();
  }
  const std::string& name(ValueId value) const { return graph_.value(value).name; }

  void check_ids() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      const auto id = static_cast<NodeId>(i);
      if (node.schema == nullptr) {
        node_problem(id, "has no schema");
        continue;
      }
      if (node.inputs.size() != node.schema->input_names.size() ||
          node.inputs.size() > ops::OpCall::kMaxInputs)
        node_problem(id, "{} inputs, the op has {}", node.inputs.size(), node.schema->input_names.size());
      if (node.attrs.size() != node.schema->attr_names.size() || node.attrs.size() > ops::OpCall::kMaxAttrs)
        node_problem(id, "{} attributes, the op has {}", node.attrs.size(), node.schema->attr_names.size());
      for (const ValueId input : node.inputs)
        if (input != kNone && !in_range(input)) node_problem(id, "reads value {}, which isn't there", input);
      for (const ValueId output : node.outputs)
        if (!in_range(output)) node_problem(id, "defines value {}, which isn't there", output);
    }
    for (const GraphOutput& output : graph_.outputs)
      if (!in_range(output.value))
        graph_problem("output '{}' returns value {}, which isn't there", output.name, output.value);
    for (const Value& value : graph_.values)
      if (value.previous != kNone && !in_range(value.previous))
        graph_problem("%{} is a version of value {}, which isn't there", value.name, value.previous);
  }

  // Names are unique, and each result is defined once, by the node and output that it says.
  void check_values() {
    std::unordered_set<std::string_view> names;
    names.reserve(graph_.values.size());
    for (const Value& value : graph_.values)
      if (value.name.empty() || !names.insert(value.name).second)
        graph_problem("two values are called '%{}', or it has no name", value.name);
    std::vector<int> definitions(graph_.values.size());
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.outputs.size(); ++k) {
        const Value& value = graph_.value(node.outputs[k]);
        if (++definitions[static_cast<size_t>(node.outputs[k])] > 1)
          node_problem(static_cast<NodeId>(i), "defines %{} again", value.name);
        else if (value.kind != ValueKind::result)
          node_problem(static_cast<NodeId>(i), "defines %{}, which comes from outside", value.name);
        else if (value.producer != static_cast<NodeId>(i) || value.output != static_cast<int>(k))
          node_problem(static_cast<NodeId>(i), "defines %{} as output {}, which says output {} of node {}",
                       value.name, k, value.output, value.producer);
      }
    }
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& value = graph_.values[i];
      if (value.kind == ValueKind::result) {
        if (definitions[i] == 0) graph_problem("no node defines %{}", value.name);
      } else if (value.producer != kNone || value.previous != kNone) {
        graph_problem("%{} comes from outside and has a producer or a previous version", value.name);
      }
    }
    if (!problems_.empty()) return;
    newest_.resize(graph_.values.size());
    for (size_t i = 0; i < newest_.size(); ++i) newest_[i] = static_cast<ValueId>(i);
    root_.assign(graph_.values.size(), kNone);
    for (size_t i = 0; i < root_.size(); ++i)
      if (graph_.values[i].kind != ValueKind::result) root_[i] = static_cast<ValueId>(i);
  }

  // In the order in which they run: root_ is known for what has been defined.
  void check_node(NodeId id) {
    const Node& node = graph_.node(id);
    bool defined = true;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      const ValueId root = root_[static_cast<size_t>(input)];
      if (root == kNone) {
        node_problem(id, "reads %{} before it is defined", name(input));
        defined = false;
      } else if (newest_[static_cast<size_t>(root)] != input) {
        node_problem(id, "reads %{} after %{} was defined", name(input),
                     name(newest_[static_cast<size_t>(root)]));
      }
    }
    if (defined) check_types(id);
    for (size_t k = 0; k < node.outputs.size(); ++k) check_output(id, static_cast<int>(k));
  }

  void check_types(NodeId id) {
    const Node& node = graph_.node(id);
    ops::OutputSpecs specs;
    try {
      specs = infer(graph_, node);
    } catch (const std::exception& error) {  // Error, InternalError, an attribute of another type
      node_problem(id, "its types don't fit: {}", error.what());
      return;
    }
    int written = 0;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] != kNone && (node.schema->mutated_inputs >> i & 1) != 0) ++written;
    if (static_cast<int>(node.outputs.size()) != specs.count + written) {
      node_problem(id, "{} outputs; the op computes {} and writes {} of its inputs", node.outputs.size(),
                   specs.count, written);
      return;
    }
    for (int k = 0; k < specs.count; ++k) {
      const Value& value = graph_.value(node.outputs[static_cast<size_t>(k)]);
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(k)];
      if (value.dtype != spec.dtype || value.shape != spec.shape || value.packing.is_packed())
        node_problem(id, "%{} is {}, the op gives {}", value.name, type_text(value),
                     type_text({.dtype = spec.dtype, .shape = spec.shape}));
    }
  }

  void check_output(NodeId id, int output) {
    const Node& node = graph_.node(id);
    const ValueId defined = node.outputs[static_cast<size_t>(output)];
    const Value& value = graph_.value(defined);
    ValueId& root = root_[static_cast<size_t>(defined)];
    root = defined;
    const int written = written_input(node, output);
    const ValueId previous = written == kNone ? kNone : node.inputs[static_cast<size_t>(written)];
    if (value.previous != previous) {
      node_problem(id, "%{} should be {}", value.name,
                   previous == kNone ? "no version of anything" : "the next version of %" + name(previous));
      return;
    }
    if (previous == kNone) return;
    if (root_[static_cast<size_t>(previous)] == kNone) return;  // said already
    root = root_[static_cast<size_t>(previous)];
    const Value& state = graph_.value(root);
    if (state.kind != ValueKind::state) node_problem(id, "writes %{}, which isn't state", name(previous));
    if (newest_[static_cast<size_t>(root)] != previous)
      node_problem(id, "%{} follows %{}, but %{} was defined since", value.name, name(previous),
                   name(newest_[static_cast<size_t>(root)]));
    if (value.dtype != state.dtype || value.packing != state.packing || value.shape != state.shape)
      node_problem(id, "%{} is {}, the state %{} is {}", value.name, type_text(value), state.name,
                   type_text(state));
    newest_[static_cast<size_t>(root)] = defined;
  }

  void check_outputs() {
    std::set<std::string_view> names;
    for (const GraphOutput& output : graph_.outputs) {
      if (!names.insert(output.name).second) graph_problem("two outputs are called '{}'", output.name);
      const ValueId root = root_[static_cast<size_t>(output.value)];
      if (root != kNone && newest_[static_cast<size_t>(root)] != output.value)
        graph_problem("output '{}' returns %{}, of which %{} is newer", output.name, name(output.value),
                      name(newest_[static_cast<size_t>(root)]));
    }
  }

  void check_sharing() {
    const Uses uses = uses_of(graph_);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.shares.size(); ++k)
        if (node.shares[k] != kNone) check_share(static_cast<NodeId>(i), k, uses);
    }
  }

  void check_share(NodeId id, size_t output, const Uses& uses) {
    const Node& node = graph_.node(id);
    const auto input = node.shares[output];
    if (static_cast<int>(output) >= computed_outputs(node) || input < 0 ||
        static_cast<size_t>(input) >= node.inputs.size() ||
        node.inputs[static_cast<size_t>(input)] == kNone) {
      node_problem(id, "output {} takes the storage of input {}: one of them isn't there", output, input);
      return;
    }
    const ValueId taken = node.inputs[static_cast<size_t>(input)];
    const Value& from = graph_.value(taken);
    const Value& to = graph_.value(node.outputs[output]);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] == taken && (node.schema->may_share[output] >> i & 1) == 0)
        node_problem(id, "%{} takes the storage of %{}, which the op doesn't allow for input '{}'", to.name,
                     from.name, node.schema->input_names[i]);
    if (from.kind != ValueKind::result || from.previous != kNone)
      node_problem(id, "%{} takes the storage of %{}, which comes from outside", to.name, from.name);
    if (uses.returned[static_cast<size_t>(taken)])
      node_problem(id, "%{} takes the storage of %{}, which the graph returns", to.name, from.name);
    if (const NodeId last = uses.nodes[static_cast<size_t>(taken)].back(); last != id)
      node_problem(id, "%{} takes the storage of %{}, which node {} ({}) still reads", to.name, from.name,
                   last, graph_.node(last).schema->name);
    if (to.shape.elements() * static_cast<int64_t>(size_of(to.dtype)) !=
        from.shape.elements() * static_cast<int64_t>(size_of(from.dtype)))
      node_problem(id, "%{} {} takes the storage of %{} {}, which is of other bytes", to.name, type_text(to),
                   from.name, type_text(from));
    for (size_t other = 0; other < output; ++other)
      if (node.shares[other] != kNone && static_cast<size_t>(node.shares[other]) < node.inputs.size() &&
          node.inputs[static_cast<size_t>(node.shares[other])] == taken)
        node_problem(id, "outputs {} and {} take the storage of the same input", other, output);
  }

  void check_against(const Graph& before) {
    const StateUse was(before, false);
    const StateUse is(graph_, true);
    for (const auto& [state, count] : was.writes) {
      const auto now = is.writes.find(state);
      if (const int found = now == is.writes.end() ? 0 : now->second; found < count)
        graph_problem("%{} was written {} times and is now written {} times", state, count, found);
    }
    for (const Node& node : graph_.nodes)
      for (const ValueId output : node.outputs) {
        const Value& value = graph_.value(output);
        if (value.traced == kNone || value.previous != kNone) continue;
        const auto needed = was.touches.find(value.traced);
        if (needed == was.touches.end()) continue;
        const auto found = is.touches.find(value.traced);
        for (const auto& [state, versions] : needed->second)
          for (const int version : versions)
            if (found == is.touches.end() || !found->second.contains(state) ||
                !found->second.at(state).contains(version))
              node_problem(value.producer, "%{} was computed from version {} of %{} and is no more",
                           value.name, version, state);
      }
  }

  const Graph& graph_;
  std::vector<std::string> problems_;
  std::vector<ValueId> newest_;  // by root: its newest version so far
  std::vector<ValueId> root_;    // by value; kNone: not defined yet
};

}  // namespace

std::vector<std::string> problems_of(const Graph& graph, const Graph* before) {
  return Verifier(graph).problems(before);
}

void verify(const Graph& graph, std::string_view after, const Graph* before) {
  const std::vector<std::string> problems = problems_of(graph, before);
  if (problems.empty()) return;
  std::string message = fmt::format("after {} the graph is broken; please report it:", after);
  for (const std::string& problem : problems) message += "\n  " + problem;
  throw InternalError(message);
}

}  // namespace reprise::graph

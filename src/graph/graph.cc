#include "graph/graph.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "core/error.h"
#include "graph/no_storage.h"

namespace reprise::graph {
namespace {

const Tensor kAbsent{};

ops::OpCall make_call(const Node& node, const std::array<const Tensor*, ops::OpCall::kMaxInputs>& inputs) {
  return {*node.schema, std::span(inputs.data(), node.inputs.size()), node.attrs};
}

uint32_t written_mask(const Node& node) {
  uint32_t mask = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (node.inputs[i] != kNone) mask |= node.schema->mutated_inputs & (1u << i);
  return mask;
}

}  // namespace

ValueId add_value(Graph& graph, Value value) {
  if (value.name.empty()) {
    // A fresh trace names results by their ids; later passes leave holes and go on above them.
    graph.next_name = std::max(graph.next_name, static_cast<int64_t>(graph.values.size()));
    value.name = std::to_string(graph.next_name++);
  } else {
    int64_t number = 0;
    const char* end = value.name.data() + value.name.size();
    if (const auto [stop, failed] = std::from_chars(value.name.data(), end, number);
        failed == std::errc() && stop == end)
      graph.next_name = std::max(graph.next_name, number + 1);
  }
  graph.values.push_back(std::move(value));
  return static_cast<ValueId>(graph.values.size()) - 1;
}

ValueId root_of(const Graph& graph, ValueId value) {
  while (graph.value(value).previous != kNone) value = graph.value(value).previous;
  return value;
}

int computed_outputs(const Node& node) {
  return std::max(0, static_cast<int>(node.outputs.size()) - std::popcount(written_mask(node)));
}

int written_input(const Node& node, int output) {
  int version = output - computed_outputs(node);
  if (version < 0) return kNone;
  uint32_t mask = written_mask(node);
  for (; version > 0; --version) mask &= mask - 1;
  return mask == 0 ? kNone : std::countr_zero(mask);
}

bool Uses::only_by(ValueId value, NodeId node) const {
  const auto& readers = nodes[static_cast<size_t>(value)];
  return readers.size() == 1 && readers[0] == node && !returned[static_cast<size_t>(value)];
}

Uses uses_of(const Graph& graph) {
  Uses uses;
  uses.nodes.resize(graph.values.size());
  uses.returned.resize(graph.values.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const ValueId input : graph.nodes[i].inputs)
      if (input != kNone) uses.nodes[static_cast<size_t>(input)].push_back(static_cast<NodeId>(i));
  for (const GraphOutput& output : graph.outputs) uses.returned[static_cast<size_t>(output.value)] = true;
  return uses;
}

ops::OpCall call_of(const Graph&, const Node& node, const std::vector<Tensor>& tensors) {
  std::array<const Tensor*, ops::OpCall::kMaxInputs> inputs{};
  REPRISE_CHECK(node.inputs.size() <= inputs.size(), "{} inputs of {}", node.inputs.size(),
                node.schema->name);
  for (size_t i = 0; i < node.inputs.size(); ++i)
    inputs[i] = node.inputs[i] == kNone ? &kAbsent : &tensors[static_cast<size_t>(node.inputs[i])];
  return make_call(node, inputs);
}

void with_call(const Graph& graph, const Node& node, const std::function<void(const ops::OpCall&)>& use) {
  NoStorage storage;
  std::array<Tensor, ops::OpCall::kMaxInputs> tensors;
  std::array<const Tensor*, ops::OpCall::kMaxInputs> inputs{};
  REPRISE_CHECK(node.inputs.size() <= inputs.size(), "{} inputs of {}", node.inputs.size(),
                node.schema->name);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.inputs[i] != kNone) tensors[i] = storage.tensor(graph.value(node.inputs[i]));
    inputs[i] = &tensors[i];
  }
  use(make_call(node, inputs));
}

ops::OutputSpecs infer(const Graph& graph, const Node& node) {
  ops::OutputSpecs specs;
  with_call(graph, node, [&](const ops::OpCall& call) { node.schema->infer(call, specs); });
  return specs;
}

void compact(Graph& graph, const std::vector<bool>& dead_nodes) {
  std::vector<Node> nodes;
  nodes.reserve(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!dead_nodes[i]) nodes.push_back(std::move(graph.nodes[i]));

  std::vector<bool> named(graph.values.size());
  const auto name = [&](ValueId value) {
    if (value != kNone) named[static_cast<size_t>(value)] = true;
  };
  for (const Node& node : nodes) {
    for (const ValueId value : node.inputs) name(value);
    for (const ValueId value : node.outputs) name(value);
  }
  for (const GraphOutput& output : graph.outputs) name(output.value);

  std::vector<ValueId> renumbered(graph.values.size(), kNone);
  std::vector<Value> values;
  values.reserve(graph.values.size());
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (!named[i]) continue;
    renumbered[i] = static_cast<ValueId>(values.size());
    values.push_back(std::move(graph.values[i]));
    values.back().producer = kNone;
  }
  const auto renumber = [&](ValueId& value) {
    if (value != kNone) value = renumbered[static_cast<size_t>(value)];
  };
  for (Value& value : values) renumber(value.previous);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (ValueId& value : nodes[i].inputs) renumber(value);
    for (size_t k = 0; k < nodes[i].outputs.size(); ++k) {
      renumber(nodes[i].outputs[k]);
      Value& value = values[static_cast<size_t>(nodes[i].outputs[k])];
      value.producer = static_cast<NodeId>(i);
      value.output = static_cast<int>(k);
    }
  }
  for (GraphOutput& output : graph.outputs) renumber(output.value);
  graph.nodes = std::move(nodes);
  graph.values = std::move(values);
}

}  // namespace reprise::graph

// The static graph: what a model's forward pass does, as typed values in single assignment and a list of
// nodes in the order in which they run. Sizes are symbolic in T, S and R, so one graph serves every step. It is
// plain data: passes rewrite it, verify.h checks it, text.h prints and parses it, executor.h runs it.
//
// State (the KV cache, the sampler's buffers) is versioned: a node that writes an input defines a new version
// of it as one more output, and what runs later reads that version. So an order that matters is a use like
// any other, and a pass can neither lose it nor turn it round unnoticed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace reprise::graph {

using ValueId = int32_t;  // index into Graph::values
using NodeId = int32_t;   // index into Graph::nodes
inline constexpr int32_t kNone = -1;

enum class ValueKind : uint8_t {
  input,   // filled by the host before a step
  weight,  // constant after load
  state,   // version 0 of a buffer that survives steps
  result,  // output of a node: an intermediate in the arena, or the next version of a state
};

struct Value {
  std::string name = {};  // unique in the graph: "token_ids", "model.norm.weight", "12"
  ValueKind kind = ValueKind::result;
  DType dtype = DType::f32;
  Packing packing = kRowMajor;
  Shape shape = {};
  // Results: who defines it, as which output.
  NodeId producer = kNone;
  int output = 0;
  // Results that are versions of a state: the version before. kNone otherwise.
  ValueId previous = kNone;
  // Results: the value of the traced graph that it equals bit by bit, kNone where a pass made a new one.
  // Passes that move a value to another node keep it; shadow checks compare by it.
  int32_t traced = kNone;
  // Results of which only some rows are computed any more: the value of the traced graph that these are rows
  // of, and the name of the value that picks them.
  int32_t rows_of = kNone;
  std::string picked_by = {};
  // Inputs, weights and state: where it lies. Empty in graphs that were parsed.
  Tensor tensor = {};
};

struct Node {
  const ops::OpSchema* schema = nullptr;
  std::vector<ValueId> inputs = {};  // in the order of the schema's names; kNone: an optional one is absent
  std::vector<ops::AttrValue> attrs = {};  // in the order of the schema's names
  std::vector<ValueId> outputs = {};  // what the schema infers, then a new version for each mutated input
  std::string layer = {};             // "model.layers.3.mlp"
  std::string source = {};            // "src/models/layers/mlp.h:21", of the model's code
  // In place: output i takes the storage of this input, whose last use this node is; kNone: storage of its
  // own.
  std::array<int8_t, ops::Outputs::kMax> shares = {kNone, kNone, kNone, kNone};
};

struct GraphOutput {
  std::string name;  // "logits"
  ValueId value = kNone;
};

struct Graph {
  std::string name = "model";
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<GraphOutput> outputs;
  int64_t next_name = 0;  // numbers that name values are below it

  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<size_t>(id)]; }
};

// Appends a value; one without a name gets a number that no other value has.
ValueId add_value(Graph& graph, Value value);

// The root of a version chain: the state itself; any other value is its own root.
ValueId root_of(const Graph& graph, ValueId value);

// Outputs that the op computes; what follows them in Node::outputs are new versions of inputs.
int computed_outputs(const Node& node);
// The input (its position) whose new version this output is; kNone for an output that the op computes.
// Inputs that are absent have no version.
int written_input(const Node& node, int output);

// Nodes that read each value, ascending, one entry a use, and whether the graph returns it.
struct Uses {
  std::vector<std::vector<NodeId>> nodes;  // by ValueId
  std::vector<bool> returned;
  bool only_by(ValueId value, NodeId node) const;  // used once, by this node, and not returned
};
Uses uses_of(const Graph& graph);

// The op call that `node` stands for, over tensors that the caller holds by ValueId (infer and launch take
// it). Valid as long as `tensors` is.
ops::OpCall call_of(const Graph& graph, const Node& node, const std::vector<Tensor>& tensors);

// The same over tensors that have types and no bytes, for as long as `use` runs.
void with_call(const Graph& graph, const Node& node, const std::function<void(const ops::OpCall&)>& use);

// Dtypes and shapes of what the op computes, from the types of the node's inputs. Throws what its infer
// throws.
ops::OutputSpecs infer(const Graph& graph, const Node& node);

// Drops nodes marked dead and values that nothing names any more, and renumbers both. Producers are set anew.
void compact(Graph& graph, const std::vector<bool>& dead_nodes);

}  // namespace reprise::graph

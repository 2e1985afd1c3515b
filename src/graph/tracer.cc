#include "graph/tracer.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "graph/text.h"
#include "graph/verify.h"

namespace reprise::graph {
namespace {

// "src/models/layers/decoder.cc:41": the file from its tree's src on, or its bare name.
std::string source_of(const ops::Where& where) {
  if (where.line() == 0) return {};
  const std::string_view file = where.file_name();
  size_t begin = file.rfind("/src/");
  if (begin == std::string_view::npos) begin = file.rfind('/');
  return fmt::format("{}:{}", begin == std::string_view::npos ? file : file.substr(begin + 1), where.line());
}

ValueKind kind_of(BufferKind kind) {
  switch (kind) {
    case BufferKind::weight:
      return ValueKind::weight;
    case BufferKind::input:
      return ValueKind::input;
    case BufferKind::state:
    case BufferKind::arena:
      break;
  }
  return ValueKind::state;
}

class Tracer final : public ops::Dispatcher, private BufferOwner {
 public:
  Tracer(std::string name, const TensorNamer& namer) : namer_(namer) { graph_.name = std::move(name); }

  void add_input(const NamedTensor& input) { add_outside(input.tensor, input.name, "the step"); }
  void add_output(const NamedTensor& output) {
    if (!output.tensor)
      throw Error("[trace] the output '{}' is an empty tensor; return what an op gave", output.name);
    graph_.outputs.push_back({output.name, use(output.tensor, "the end of the step")});
  }
  Graph finish() { return std::move(graph_); }

  ops::Outputs dispatch(const ops::OpCall& call) override {
    ops::OutputSpecs specs;
    call.schema.infer(call, specs);
    const auto id = static_cast<NodeId>(graph_.nodes.size());
    Node node{.schema = &call.schema,
              .attrs = {call.attrs.begin(), call.attrs.begin() + call.attr_count},
              .layer = std::string(LayerScope::current()),
              .source = source_of(call.where)};
    node.inputs.reserve(static_cast<size_t>(call.input_count));
    for (int i = 0; i < call.input_count; ++i)
      node.inputs.push_back(call.has(i) ? use(call.input(i), call.schema.name) : kNone);
    ops::Outputs outputs;
    outputs.count = specs.count;
    for (int i = 0; i < specs.count; ++i) {
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
      const ValueId value = add_result(node, id, {.dtype = spec.dtype, .shape = spec.shape});
      outputs.tensors[static_cast<size_t>(i)] = handle(value);
    }
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] != kNone && (call.schema.mutated_inputs >> i & 1) != 0)
        add_version(node, id, node.inputs[i]);
    graph_.nodes.push_back(std::move(node));
    return outputs;
  }

  const std::byte* read(const Tensor& tensor) override {
    const ValueId id = use(tensor, "the host");
    const Value& value = graph_.value(id);
    if (value.kind == ValueKind::weight) return tensor.data();  // the same in every step
    std::string_view op, layer;
    std::string source;
    if (value.producer != kNone) {
      const Node& node = graph_.node(value.producer);
      op = node.schema->name;
      layer = node.layer;
      if (!node.source.empty()) source = " at " + node.source;
    }
    throw CaptureError(
        CaptureRule::host_read, op, layer,
        fmt::format("the model's code looks at %{} {}, {}{}", value.name, type_text(value),
                    op.empty() ? "which the host fills before each step" : "which this op makes", source),
        "compute with ops what depends on it, or run this model op by op "
        "(graph_opt_level 0, no use_cudagraph)");
  }

 private:
  void release(Buffer&) override {}

  ValueId add_result(Node& node, NodeId id, Value value) {
    value.producer = id;
    value.output = static_cast<int>(node.outputs.size());
    value.traced = static_cast<int32_t>(graph_.values.size());
    names_.insert(std::to_string(value.traced));
    node.outputs.push_back(add_value(graph_, std::move(value)));
    return node.outputs.back();
  }

  void add_version(Node& node, NodeId id, ValueId previous) {
    const ValueId root = root_of(graph_, previous);
    const Value& state = graph_.value(root);
    if (state.kind != ValueKind::state)
      throw Error(
          "[trace] {} of layer '{}' writes its input %{}, which is no state; allocate it in a HeapStore "
          "of BufferKind::state",
          node.schema->name, node.layer, state.name);
    Value version{.dtype = state.dtype, .packing = state.packing, .shape = state.shape, .previous = previous};
    int& count = versions_[root];
    version.name = unique_name(fmt::format("{}@{}", state.name, ++count));
    newest_[root] = add_result(node, id, std::move(version));
  }

  // The handle that the model's code gets: a buffer without bytes, which says which value it is.
  Tensor handle(ValueId value) {
    Buffer& buffer = buffers_.emplace_back();
    buffer.kind = BufferKind::arena;
    buffer.id = static_cast<uint64_t>(value);
    buffer.owner = this;
    const Value& v = graph_.value(value);
    return {
        .buffer = BufferRef(&buffer), .offset = 0, .dtype = v.dtype, .packing = v.packing, .shape = v.shape};
  }

  ValueId use(const Tensor& tensor, std::string_view user) {
    if (tensor.buffer->owner == this) {
      const auto id = static_cast<ValueId>(tensor.buffer->id);
      const Value& value = graph_.value(id);
      if (tensor.offset != 0 || tensor.shape != value.shape || tensor.dtype != value.dtype)
        throw Error(
            "[trace] {} of layer '{}' takes a view of %{} {}: {} at byte {}; use an op that copies the "
            "part",
            user, LayerScope::current(), value.name, type_text(value), to_string(tensor.shape),
            tensor.offset);
      return id;
    }
    for (const ValueId known : outside_[tensor.buffer.get()])
      if (same_view(graph_.value(known).tensor, tensor)) {
        const auto newest = newest_.find(known);
        return newest == newest_.end() ? known : newest->second;
      }
    return add_outside(tensor, namer_ ? namer_(tensor) : std::string(), user);
  }

  static bool same_view(const Tensor& a, const Tensor& b) {
    return a.offset == b.offset && a.dtype == b.dtype && a.packing == b.packing && a.shape == b.shape;
  }

  ValueId add_outside(const Tensor& tensor, std::string name, std::string_view user) {
    const BufferKind kind = tensor.buffer->kind;
    if (kind == BufferKind::arena)
      throw Error(
          "[trace] {} of layer '{}' takes a tensor {} that another step computed; a step's inputs are "
          "buffers of kind input, weight or state",
          user, LayerScope::current(), to_string(tensor.shape));
    std::vector<ValueId>& views = outside_[tensor.buffer.get()];
    if (kind == BufferKind::state)
      for (const ValueId other : views) check_apart(graph_.value(other), tensor, user);
    const bool numeric = std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (numeric)  // "" among them: numbers are for results
      name = fmt::format("{}.{}", name_of(kind), graph_.values.size());
    views.push_back(add_value(graph_, {.name = unique_name(std::move(name)),
                                       .kind = kind_of(kind),
                                       .dtype = tensor.dtype,
                                       .packing = tensor.packing,
                                       .shape = tensor.shape,
                                       .tensor = tensor}));
    return views.back();
  }

  // Versions order the uses of one view; of two that overlap they would order neither.
  void check_apart(const Value& other, const Tensor& tensor, std::string_view user) const {
    const auto end = [](const Tensor& t) {
      return t.shape.elements().is_constant() ? t.offset + t.extent().constant
                                              : static_cast<int64_t>(t.buffer->bytes);
    };
    if (other.tensor.offset < end(tensor) && tensor.offset < end(other.tensor))
      throw Error(
          "[trace] {} of layer '{}' sees the state %{} {} as {}: two views of the same bytes; use one", user,
          LayerScope::current(), other.name, type_text(other), to_string(tensor.shape));
  }

  std::string unique_name(std::string name) {
    if (names_.insert(name).second) return name;
    for (int i = 2;; ++i)
      if (std::string other = fmt::format("{}.{}", name, i); names_.insert(other).second) return other;
  }

  const TensorNamer& namer_;
  Graph graph_;
  std::deque<Buffer> buffers_;
  std::unordered_map<const Buffer*, std::vector<ValueId>> outside_;  // views of each buffer
  std::unordered_map<ValueId, ValueId> newest_;                      // by root, where it was written
  std::unordered_map<ValueId, int> versions_;                        // by root
  std::unordered_set<std::string> names_;
};

}  // namespace

Graph trace(std::string name, const std::vector<NamedTensor>& inputs, const TensorNamer& namer,
            const std::function<std::vector<NamedTensor>()>& body) {
  Tracer tracer(std::move(name), namer);
  for (const NamedTensor& input : inputs) tracer.add_input(input);
  {
    const ops::DispatchScope scope(tracer);
    for (const NamedTensor& output : body()) tracer.add_output(output);
  }
  Graph graph = tracer.finish();
  verify(graph, "tracing");
  return graph;
}

}  // namespace reprise::graph

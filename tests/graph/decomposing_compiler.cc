#include "tests/graph/decomposing_compiler.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "ops/launch_table.h"

namespace reprise::graph {
namespace {

const Kernel kWrong{"wrong_on_purpose", [](const KernelContext& context, int64_t, int64_t) {
                      context.buffer<uint32_t>(0)[0] ^= 0x00100010u;  // mantissas of f32 and of bf16
                    }};

// Runs ops as they come: outputs from the workspace, launches to the stream.
class OneByOne final : public ops::Dispatcher {
 public:
  OneByOne(Stream& stream, ops::WorkspaceAllocator& workspace) : stream_(stream), workspace_(workspace) {}

  ops::Outputs dispatch(const ops::OpCall& call) override {
    if (call.schema.decompose != nullptr) return call.schema.decompose(call);
    ops::OutputSpecs specs;
    call.schema.infer(call, specs);
    ops::Outputs outputs;
    for (; outputs.count < specs.count; ++outputs.count) {
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(outputs.count)];
      outputs.tensors[static_cast<size_t>(outputs.count)] = workspace_.workspace(spec.dtype, spec.shape);
    }
    const OpScope scope(call.schema.name);
    ops::launch_of(call.schema, stream_.device().kind())
        .launch(call, stream_, {outputs.tensors.data(), static_cast<size_t>(outputs.count)}, workspace_);
    return outputs;
  }
  const std::byte* read(const Tensor&) override {
    REPRISE_CHECK(false, "an op of a group looks at a value");
    return nullptr;
  }

 private:
  Stream& stream_;
  ops::WorkspaceAllocator& workspace_;
};

}  // namespace

// Values of the group are numbered: its inputs first, then what its nodes compute, in order.
struct DecomposingCompiler::Fused final : ops::OpSchema {
  struct Part {
    const ops::OpSchema* schema;
    std::vector<int> inputs;  // kNone: absent
    std::vector<ops::AttrValue> attrs;
    size_t outputs;
  };

  std::string own_name;
  std::vector<std::string> own_input_names;
  std::vector<std::string_view> input_views;
  std::vector<Part> parts;
  std::vector<int> results;
  std::vector<ops::OutputSpec> specs;
  bool is_wrong = false;
  ops::OpLaunch own_launch;

  static const Fused& of(const ops::OpCall& call) { return static_cast<const Fused&>(call.schema); }

  static void infer_outputs(const ops::OpCall& call, ops::OutputSpecs& outputs) {
    for (const ops::OutputSpec& spec : of(call).specs) outputs.add(spec.dtype, spec.shape);
  }
  static void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                  ops::WorkspaceAllocator& workspace) {
    const Fused& kernel = of(call);
    OneByOne dispatcher(stream, workspace);
    const ops::DispatchScope scope(dispatcher);
    std::vector<Tensor> values;
    for (int i = 0; i < call.input_count; ++i) values.push_back(call.optional(i));
    for (const Part& part : kernel.parts) {
      std::vector<const Tensor*> inputs;
      for (const int input : part.inputs)
        inputs.push_back(input == kNone ? nullptr : &values[static_cast<size_t>(input)]);
      const ops::Outputs made = ops::dispatch(ops::OpCall(*part.schema, inputs, part.attrs));
      values.insert(values.end(), made.tensors.begin(),
                    made.tensors.begin() + static_cast<std::ptrdiff_t>(part.outputs));
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      stream.copy(values[static_cast<size_t>(kernel.results[i])], outputs[i]);
    if (kernel.is_wrong && !outputs.empty())
      stream.launch(kWrong, {.items = Dim{1}}, {updates(outputs[0])}, NoScalars{});
  }

  struct NoScalars {};
};

DecomposingCompiler::DecomposingCompiler(DeviceKind device, std::string_view level)
    : device_(device), level_(level) {}
DecomposingCompiler::~DecomposingCompiler() = default;

bool DecomposingCompiler::accepts(const Graph& graph, const FusionGroup& group) const {
  const bool known = std::all_of(group.nodes.begin(), group.nodes.end(), [&](NodeId node) {
    const ops::OpSchema& schema = *graph.node(node).schema;
    return schema.capturable && schema.kind != ops::OpKind::collective && schema.kind != ops::OpKind::opaque;
  });
  return known && (!also_accepts || also_accepts(graph, group));
}

const ops::OpSchema& DecomposingCompiler::compile(const Graph& graph, const FusionGroup& group) {
  if (before_compile) before_compile(graph, group);
  auto kernel = std::make_unique<Fused>();
  std::vector<ValueId> values = group.inputs;
  const auto place_of = [&](ValueId value) {
    if (value == kNone) return static_cast<int>(kNone);
    return static_cast<int>(std::find(values.begin(), values.end(), value) - values.begin());
  };
  for (const NodeId id : group.nodes) {
    const Node& node = graph.node(id);
    Fused::Part part{
        .schema = node.schema, .inputs = {}, .attrs = node.attrs, .outputs = node.outputs.size()};
    for (const ValueId input : node.inputs) part.inputs.push_back(place_of(input));
    kernel->parts.push_back(std::move(part));
    values.insert(values.end(), node.outputs.begin(), node.outputs.end());
  }
  for (const ValueId output : group.outputs) {
    if (graph.value(output).previous != kNone) {
      kernel->mutated_inputs |= 1u << place_of(graph.value(output).previous);
      continue;
    }
    kernel->results.push_back(place_of(output));
    kernel->specs.push_back({graph.value(output).dtype, graph.value(output).shape});
  }
  kernel->own_name = "compiled_" + std::to_string(kernels_.size());
  for (size_t i = 0; i < group.inputs.size(); ++i)
    kernel->own_input_names.push_back("in" + std::to_string(i));
  kernel->input_views.assign(kernel->own_input_names.begin(), kernel->own_input_names.end());
  kernel->own_launch = {.launch = Fused::run};
  kernel->is_wrong = wrong;
  kernel->name = kernel->own_name;
  kernel->kind = ops::OpKind::elementwise;
  kernel->input_names = kernel->input_views;
  kernel->infer = Fused::infer_outputs;
  kernel->generated = &kernel->own_launch;
  kernels_.push_back(std::move(kernel));
  return *kernels_.back();
}

}  // namespace reprise::graph

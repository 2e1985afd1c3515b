#include "tests/codegen/random_group.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/matmul_program.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/pack.h"
#include "loop/builder.h"
#include "loop/functions.h"
#include "ops/cpu/loop.h"
#include "ops/elementwise.h"
#include "ops/launch_table.h"
#include "ops/matmul.h"
#include "ops/norm.h"

namespace reprise::codegen {
namespace {

constexpr std::string_view kInputs[] = {"a", "b", "c", "d"};

void infer_first(const ops::OpCall& call, ops::OutputSpecs& outputs) {
  outputs.add(call.input(0).dtype, call.input(0).shape);
}

// Ops of one expression, as register_elementwise makes them.
template <typename Body>
constexpr ops::OpSchema expression(std::string_view name, size_t inputs, Body body) {
  return {.name = name,
          .kind = ops::OpKind::elementwise,
          .input_names = std::span(kInputs).first(inputs),
          .row_wise = true,
          .infer = infer_first,
          .body = body};
}

using Values = std::span<const loop::Value>;
using Results = std::span<loop::Value>;

}  // namespace

const ops::OpSchema kSoftcap = expression("test_softcap", 1, [](const ops::OpCall&, Values in, Results out) {
  const loop::Value thirty = like(in[0], 30.0f);
  out[0] = thirty * tanh(in[0] / thirty);
});
const ops::OpSchema kBlend = expression("test_blend", 4, [](const ops::OpCall&, Values in, Results out) {
  const loop::Value gate = loop::functions::sigmoid(in[0]);
  out[0] =
      select_less(in[0], in[1], gate * in[0] - in[1], fma(in[1], in[2], in[3])) - sqrt(abs(in[0] * in[1]));
});
const ops::OpSchema kSquaredRelu =
    expression("test_relu2", 1, [](const ops::OpCall&, Values in, Results out) {
      const loop::Value positive = max(in[0], like(in[0], 0.0f));
      out[0] = positive * positive;
    });

namespace {

struct Op {
  const ops::OpSchema* schema;
  int rows;        // inputs that are rows, which come first
  int per_column;  // those with a number for each column
  bool has_eps = false;
};
const Op kOps[] = {{&ops::kAdd, 2, 0},
                   {&ops::kMul, 2, 0},
                   {&ops::kSilu, 1, 0},
                   {&ops::kRmsNorm, 1, 1, true},
                   {&ops::kGelu, 1, 0},
                   {&ops::kGeluTanh, 1, 0},
                   {&ops::kSiluMul, 2, 0},
                   {&ops::kGeluMul, 2, 0},
                   {&ops::kGeluTanhMul, 2, 0},
                   {&ops::kLayerNorm, 1, 2, true},
                   {&ops::kAddRmsNorm, 2, 1, true},
                   {&kSoftcap, 1, 0},
                   {&kBlend, 2, 2},
                   {&kSquaredRelu, 1, 0}};

}  // namespace

void register_expression_ops() {
  static const bool once = [] {
    for (const ops::OpSchema* schema : {&kSoftcap, &kBlend, &kSquaredRelu})
      ops::register_launch(*schema, DeviceKind::cpu, {ops::cpu::launch_body});
    return true;
  }();
  static_cast<void>(once);
}

namespace {

class GroupWriter {
 public:
  explicit GroupWriter(loop::Choices& choices) : choices_(choices) {}

  RandomGroup run() {
    constexpr int64_t kColumns[] = {1, 16, 17, 15, 33, 64, 100, 255, 1023, 1024, 1025, 3080};
    constexpr int64_t kTokens[] = {1, 3, 17, 2};
    columns_ = choices_.one_of(kColumns);
    made_.tokens = columns_ > 300 ? 1 + choices_.below(3) : choices_.one_of(kTokens);
    made_.width = columns_ * (columns_ < 1000 ? 1 + choices_.below(3) : 1);
    dtype_ = choices_.one_in(2) ? DType::bf16 : DType::f32;
    const uint32_t inputs = 1 + choices_.below(3);
    for (uint32_t i = 0; i < inputs; ++i) rows_.push_back(add_rows());
    const uint32_t count = 1 + choices_.below(8);
    for (uint32_t i = 0; i < count; ++i) add_node();
    find_outputs(static_cast<size_t>(loop::kMaxBuffers));
    return std::move(made_);
  }

  // Nothing where the choices give more than a launch has.
  std::optional<RandomGroup> around_matmul() {
    constexpr int64_t kColumns[] = {1, 16, 17, 31, 64, 100, 172, 257, 300};
    constexpr int64_t kTokens[] = {1, 2, 5, 16, 33, 70};
    made_.tokens = choices_.one_of(kTokens);
    columns_ = choices_.one_of(kColumns);
    made_.width = columns_ * (1 + choices_.below(2));
    dtype_ = choices_.one_in(2) ? DType::bf16 : DType::f32;
    rows_ = {add_rows()};
    if (choices_.one_in(2)) rows_.push_back(add_rows());
    const uint32_t before = choices_.below(4);
    for (uint32_t i = 0; i < before; ++i) add_node(false);
    const uint32_t after = choices_.below(5);
    add_matmul(rows_.back(), after > 0);
    if (after > 0 && choices_.one_in(2)) rows_.insert(rows_.begin(), add_rows());
    for (uint32_t i = 0; i < after; ++i) add_node(true);
    find_outputs(ops::Outputs::kMax + made_.group.inputs.size());
    const size_t inputs = made_.group.inputs.size(), outputs = made_.group.outputs.size();
    if (inputs > ops::OpCall::kMaxInputs || inputs + outputs > static_cast<size_t>(loop::kMaxBuffers) ||
        !complete_)
      return std::nullopt;
    return std::move(made_);
  }

 private:
  // Rows and numbers of each column are of its results from here on.
  void add_matmul(graph::ValueId x, bool same_columns) {
    constexpr int64_t kColumns[] = {16, 1, 12, 31, 32, 33, 64, 172, 200};
    graph::Node node{.schema = choices_.one_in(4) ? &ops::kMatmul : &ops::kMatmulGroup};
    read(node, x);
    const uint32_t segments = node.schema == &ops::kMatmul ? 1 : 1 + choices_.below(4);
    int64_t n = choices_.one_of(kColumns);
    for (uint32_t i = 0; i < segments; ++i) {
      if (!same_columns) n = choices_.one_of(kColumns);
      read(node, graph::add_value(made_.graph, {.kind = graph::ValueKind::weight,
                                                .dtype = dtype_,
                                                .packing = kernels::cpu::packing_of(dtype_),
                                                .shape = Shape{n, made_.width}}));
      if (choices_.one_in(3))
        read(node, graph::add_value(made_.graph, {.kind = graph::ValueKind::weight, .shape = Shape{n}}));
      else
        node.inputs.push_back(graph::kNone);
    }
    node.inputs.resize(node.schema->input_names.size(), graph::kNone);
    if (choices_.one_in(3)) dtype_ = DType::f32;
    node.attrs = {dtype_};
    columns_ = made_.width = n;
    rows_.clear();
    weights_.clear();
    add(std::move(node));
  }

  graph::ValueId add_rows() {
    return graph::add_value(
        made_.graph,
        {.kind = graph::ValueKind::input, .dtype = dtype_, .shape = Shape{reprise::kTokens, made_.width}});
  }
  // Operands of ops that take a number for each column are few, so that the buffers fit a launch.
  graph::ValueId per_column() {
    if (weights_.size() < 3 && (weights_.empty() || choices_.one_in(2)))
      weights_.push_back(graph::add_value(
          made_.graph, {.kind = graph::ValueKind::weight, .dtype = DType::f32, .shape = Shape{columns_}}));
    return weights_[choices_.below(static_cast<uint32_t>(weights_.size()))];
  }
  graph::ValueId any_rows() {
    const auto count = static_cast<uint32_t>(rows_.size());
    return rows_[count - 1 - choices_.below(choices_.one_in(3) ? count : std::min(count, 2u))];
  }

  void add_node(bool elementwise = false) {
    const Op* any = &kOps[choices_.below(static_cast<uint32_t>(std::size(kOps)))];
    if (elementwise && any->schema->kind != ops::OpKind::elementwise) any = &kOps[0];
    const Op& op = *any;
    graph::Node node{.schema = op.schema};
    for (int i = 0; i < op.rows; ++i) read(node, any_rows());
    for (int i = 0; i < op.per_column; ++i) {
      // A layer norm may have no bias.
      if (op.schema == &ops::kLayerNorm && i == 1 && choices_.one_in(2))
        node.inputs.push_back(graph::kNone);
      else
        read(node, per_column());
    }
    if (op.has_eps) node.attrs = {choices_.one_in(2) ? 1e-5 : 0.25};
    add(std::move(node));
  }
  void add(graph::Node node) {
    const ops::OutputSpecs specs = graph::infer(made_.graph, node);
    const auto id = static_cast<graph::NodeId>(made_.graph.nodes.size());
    for (int i = 0; i < specs.count; ++i) {
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
      node.outputs.push_back(graph::add_value(
          made_.graph, {.dtype = spec.dtype, .shape = spec.shape, .producer = id, .output = i}));
      rows_.push_back(node.outputs.back());
    }
    made_.graph.nodes.push_back(std::move(node));
    made_.group.nodes.push_back(id);
  }
  void read(graph::Node& node, graph::ValueId value) {
    node.inputs.push_back(value);
    std::vector<graph::ValueId>& inputs = made_.group.inputs;
    if (made_.graph.value(value).producer == graph::kNone &&
        std::find(inputs.begin(), inputs.end(), value) == inputs.end())
      inputs.push_back(value);
    used_.push_back(value);
  }

  // What nobody in the group uses, and some that somebody does.
  void find_outputs(size_t most_buffers) {
    for (const graph::Node& node : made_.graph.nodes)
      for (const graph::ValueId value : node.outputs) {
        const bool inner = std::find(used_.begin(), used_.end(), value) != used_.end();
        const size_t buffers = made_.group.inputs.size() + made_.group.outputs.size();
        if ((!inner || choices_.one_in(5)) && buffers < most_buffers)
          made_.group.outputs.push_back(value);
        else if (!inner)
          complete_ = false;
      }
  }

  loop::Choices& choices_;
  RandomGroup made_;
  int64_t columns_ = 0;
  DType dtype_ = DType::f32;
  std::vector<graph::ValueId> rows_, weights_, used_;
  bool complete_ = true;  // all that nobody uses is an output
};

CpuDevice& device_of(Isa level) {
  static ThreadTeam team(1);
  static std::map<Isa, std::unique_ptr<CpuDevice>> devices;
  std::unique_ptr<CpuDevice>& device = devices[level];
  if (device == nullptr) device = std::make_unique<CpuDevice>(team, level);
  return *device;
}

}  // namespace

size_t bytes_of(const graph::Value& value, const StepSizes& sizes) {
  if (value.packing.is_packed()) return packed_size(value.packing, value.shape).bytes();
  return static_cast<size_t>(value.shape.elements().eval(sizes)) * size_of(value.dtype);
}

RandomGroup random_group(loop::Choices& choices) {
  register_expression_ops();
  return GroupWriter(choices).run();
}

RandomGroup random_matmul_group(loop::Choices& choices) {
  register_expression_ops();
  for (;;)
    if (std::optional<RandomGroup> group = GroupWriter(choices).around_matmul();
        group && why_not_matmul(group->graph, group->group).empty())
      return std::move(*group);
}

void run_one_by_one(const RandomGroup& group, std::span<std::byte* const> buffers, Isa level) {
  const StepSizes sizes{.tokens = group.tokens, .seqs = 1, .rows = group.tokens};
  StepArena arena(host_memory(), size_t{16} << 20);
  arena.set_sizing(sizes);
  Stream stream(device_of(level));
  stream.set_sizes(sizes);
  ops::EagerDispatcher eager(stream, arena);
  std::vector<Tensor> tensors(group.graph.values.size());
  for (size_t i = 0; i < group.group.inputs.size(); ++i) {
    const graph::ValueId id = group.group.inputs[i];
    const graph::Value& value = group.graph.value(id);
    Tensor& tensor = tensors[static_cast<size_t>(id)];
    tensor = arena.allocate(value.dtype,
                            Shape{static_cast<int64_t>(bytes_of(value, sizes) / size_of(value.dtype))});
    tensor.packing = value.packing;
    tensor.shape = value.shape;
    std::memcpy(tensor.data(), buffers[i], bytes_of(value, sizes));
  }
  for (const graph::NodeId id : group.group.nodes) {
    const graph::Node& node = group.graph.node(id);
    const ops::Outputs outputs = eager.dispatch(graph::call_of(group.graph, node, tensors));
    for (size_t i = 0; i < node.outputs.size(); ++i)
      tensors[static_cast<size_t>(node.outputs[i])] = outputs.tensors[i];
  }
  for (size_t i = 0; i < group.group.outputs.size(); ++i) {
    const graph::ValueId id = group.group.outputs[i];
    std::memcpy(buffers[group.group.inputs.size() + i], tensors[static_cast<size_t>(id)].data(),
                bytes_of(group.graph.value(id), sizes));
  }
}

}  // namespace reprise::codegen

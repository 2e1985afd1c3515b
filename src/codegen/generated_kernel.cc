#include "codegen/generated_kernel.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "codegen/group_program.h"
#include "codegen/matmul_program.h"
#include "core/error.h"
#include "loop/text.h"
#include "ops/cpu/loop.h"

namespace reprise::codegen {
namespace {

constexpr int64_t kChunks[] = {1, 2, 4, 8};
constexpr int64_t kUntimedChunks = 4;
constexpr int64_t kLanes = 16;

void launch_kernel(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                   ops::WorkspaceAllocator& workspace) {
  static_cast<const GeneratedKernel&>(call.schema).run(call, stream, outputs, workspace);
}

class LoopKernel final : public GeneratedKernel {
 public:
  LoopKernel(const graph::Graph& graph, const graph::FusionGroup& group, loop::Program program)
      : GeneratedKernel(program.name, loop::print(program)) {
    set_variants(variants_of(program), codegen::untimed_variant(program));
    code_.program = std::move(program);
    const loop::Program& of = code_.program;
    const auto inputs = static_cast<int>(group.inputs.size());
    name_inputs(inputs);
    for (size_t i = 0; i < group.outputs.size(); ++i) {
      outputs_.push_back(graph.value(group.outputs[i]).dtype);
      for (int in = 0; in < inputs; ++in)
        if (of.may_share(inputs + static_cast<int>(i), in)) may_share[i] |= static_cast<uint16_t>(1u << in);
    }
    while (of.operands[static_cast<size_t>(row_input_)].place != loop::Place::row) ++row_input_;
    kind = of.items_of_row() > 1 ? ops::OpKind::elementwise : ops::OpKind::reduction;
    row_wise = true;
    infer = infer_outputs;
  }

  std::atomic<KernelFunction>& generated() override { return code_.generated; }
  void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
           ops::WorkspaceAllocator&) const override {
    ops::cpu::launch_code(code_, name, stream, {call.inputs.data(), static_cast<size_t>(call.input_count)},
                          outputs);
  }

 private:
  static void infer_outputs(const ops::OpCall& call, ops::OutputSpecs& outputs) {
    const auto& self = static_cast<const LoopKernel&>(call.schema);
    for (const DType dtype : self.outputs_) outputs.add(dtype, call.input(self.row_input_).shape);
  }

  kernels::cpu::LoopCode code_;
  std::vector<DType> outputs_;
  int row_input_ = 0;  // whose shape the outputs have
};

}  // namespace

GeneratedKernel::GeneratedKernel(std::string name, std::string program)
    : OpSchema{}, program_(std::move(program)), program_name_(std::move(name)), launch_{launch_kernel} {
  OpSchema::name = program_name_;
  OpSchema::generated = &launch_;
}

void GeneratedKernel::name_inputs(int count) {
  for (int i = 0; i < count; ++i) own_input_names_.push_back("in" + std::to_string(i));
  input_views_.assign(own_input_names_.begin(), own_input_names_.end());
  input_names = input_views_;
}

Shape GeneratedKernel::trial_shape(size_t, const Shape& shape) const {
  return shape;
}

void GeneratedKernel::fill_trial_input(size_t, const Tensor& tensor, int64_t elements) const {
  fill_with_numbers(tensor, elements);
}

std::string name_of_chunks(int64_t chunks) {
  return fmt::format("chunks {}", chunks);
}

std::vector<std::string> variants_of(const loop::Program& program) {
  std::vector<std::string> names;
  const int64_t most = std::max<int64_t>(1, program.columns / kLanes);
  for (const int64_t chunks : kChunks) {
    names.push_back(name_of_chunks(chunks));
    if (chunks >= most) break;
  }
  return names;
}

std::string untimed_variant(const loop::Program& program) {
  const std::vector<std::string> all = variants_of(program);
  const std::string usual = name_of_chunks(kUntimedChunks);
  return std::ranges::find(all, usual) != all.end() ? usual : all.back();
}

void fill_with_numbers(const Tensor& tensor, int64_t elements) {
  uint32_t state = 1;
  for (int64_t i = 0; i < elements; ++i) {
    state = state * 1664525u + 1013904223u;
    const float number = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-30f;
    if (tensor.dtype == DType::f32)
      tensor.as<float>()[i] = number;
    else if (tensor.dtype == DType::bf16)
      tensor.as<uint16_t>()[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(number) >> 16);
  }
}

size_t weight_bytes(const graph::Graph& graph) {
  size_t bytes = 0;
  for (const graph::Value& value : graph.values)
    if (value.packing.is_packed() && value.kind != graph::ValueKind::result)
      bytes += packed_size(value.packing, value.shape).bytes();
  return bytes;
}

std::string program_text(const graph::Graph& graph, const graph::FusionGroup& group, Isa level) {
  const loop::Attention attention = attention_of(graph, group, level);
  if (attention.sets > 0) return loop::print(attention);
  const loop::RotaryKvWrite rotary = rotary_of(graph, group);
  if (rotary.sets > 0) return loop::print(rotary);
  if (has_matmul(graph, group)) return loop::print(matmul_of(graph, group));
  return loop::print(program_of(graph, group));
}

std::unique_ptr<GeneratedKernel> make_kernel(const graph::Graph& graph, const graph::FusionGroup& group,
                                             Isa level) {
  if (attention_of(graph, group, level).sets > 0) return make_attention_kernel(graph, group, level);
  if (rotary_of(graph, group).sets > 0) return make_rotary_kernel(graph, group, level);
  if (has_matmul(graph, group)) return make_matmul_kernel(graph, group, level);
  return std::make_unique<LoopKernel>(graph, group, program_of(graph, group));
}

}  // namespace reprise::codegen

#include "ops/elementwise.h"

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/elementwise.h"

namespace reprise::ops {
namespace {

using KernelGetter = const Kernel& (*)(Isa, DType);

constexpr std::string_view kUnaryInputs[] = {"x"};
constexpr std::string_view kBinaryInputs[] = {"a", "b"};
constexpr std::string_view kGatedInputs[] = {"gate", "up"};

void infer_elementwise(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& a = call.input(0);
  for (int i = 1; i < call.input_count; ++i)
    if (call.input(i).shape != a.shape || call.input(i).dtype != a.dtype)
      throw Error("[{}] {} {} and {} {} differ; both must have one shape and dtype", call.schema.name,
                  name_of(a.dtype), to_string(a.shape), name_of(call.input(i).dtype),
                  to_string(call.input(i).shape));
  outputs.add(a.dtype, a.shape);
}

template <KernelGetter kernel>
void launch_elementwise(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                        WorkspaceAllocator&) {
  const Tensor& a = call.input(0);
  const LaunchDims dims = kernels::cpu::element_dims(a.shape.elements());
  const kernels::cpu::NoScalars scalars;
  if (call.input_count == 1)
    stream.launch(kernel(cpu_of(stream).isa(), a.dtype), dims, {reads(a), writes(outputs[0])}, scalars);
  else
    stream.launch(kernel(cpu_of(stream).isa(), a.dtype), dims,
                  {reads(a), reads(call.input(1)), writes(outputs[0])}, scalars);
}

template <KernelGetter kernel>
void launch_gated(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& gate = call.input(0);
  const int64_t columns = gate.shape.row_elements();
  const kernels::cpu::GateScalars scalars{
      .columns = columns, .gate_stride = columns, .up_stride = columns, .y_stride = columns};
  stream.launch(kernel(cpu_of(stream).isa(), gate.dtype), kernels::cpu::element_dims(gate.shape.elements()),
                {reads(gate), reads(call.input(1)), writes(outputs[0])}, scalars);
}

template <Tensor (*activation)(const Tensor&, Where)>
Outputs decompose_gated(const OpCall& call) {
  return {.tensors = {mul(activation(call.input(0), call.where), call.input(1), call.where)}, .count = 1};
}

template <KernelGetter kernel>
constexpr OpSchema schema(std::string_view name, std::span<const std::string_view> inputs) {
  return {.name = name,
          .kind = OpKind::elementwise,
          .input_names = inputs,
          .row_wise = true,
          .may_share = {static_cast<uint16_t>((1u << inputs.size()) - 1)},
          .infer = infer_elementwise,
          .launch = launch_elementwise<kernel>};
}

template <KernelGetter kernel, Tensor (*activation)(const Tensor&, Where)>
constexpr OpSchema gated_schema(std::string_view name) {
  OpSchema gated = schema<kernel>(name, kGatedInputs);
  gated.launch = launch_gated<kernel>;
  gated.decompose = decompose_gated<activation>;
  return gated;
}

}  // namespace

const OpSchema kAdd = schema<kernels::cpu::add_kernel>("add", kBinaryInputs);
const OpSchema kMul = schema<kernels::cpu::mul_kernel>("mul", kBinaryInputs);
const OpSchema kSilu = schema<kernels::cpu::silu_kernel>("silu", kUnaryInputs);
const OpSchema kGelu = schema<kernels::cpu::gelu_kernel>("gelu", kUnaryInputs);
const OpSchema kGeluTanh = schema<kernels::cpu::gelu_tanh_kernel>("gelu_tanh", kUnaryInputs);
const OpSchema kSiluMul = gated_schema<kernels::cpu::silu_mul_kernel, silu>("silu_mul");
const OpSchema kGeluMul = gated_schema<kernels::cpu::gelu_mul_kernel, gelu>("gelu_mul");
const OpSchema kGeluTanhMul = gated_schema<kernels::cpu::gelu_tanh_mul_kernel, gelu_tanh>("gelu_tanh_mul");

Tensor add(const Tensor& a, const Tensor& b, Where where) {
  return dispatch_one(OpCall(kAdd, {&a, &b}, {}, where));
}
Tensor mul(const Tensor& a, const Tensor& b, Where where) {
  return dispatch_one(OpCall(kMul, {&a, &b}, {}, where));
}
Tensor silu(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kSilu, {&x}, {}, where));
}
Tensor gelu(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kGelu, {&x}, {}, where));
}
Tensor gelu_tanh(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kGeluTanh, {&x}, {}, where));
}

}  // namespace reprise::ops

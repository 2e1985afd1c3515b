#include "ops/elementwise.h"

#include "kernels/cpu/elementwise.h"

namespace reprise::ops {
namespace {

using KernelGetter = const Kernel& (*)(Isa, DType);

constexpr std::string_view kUnaryInputs[] = {"x"};
constexpr std::string_view kBinaryInputs[] = {"a", "b"};

void infer(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& a = call.input(0);
  for (int i = 1; i < call.input_count; ++i)
    if (call.input(i).shape != a.shape || call.input(i).dtype != a.dtype)
      throw Error("[{}] {} {} and {} {} differ; both must have one shape and dtype", call.schema.name,
                  name_of(a.dtype), to_string(a.shape), name_of(call.input(i).dtype),
                  to_string(call.input(i).shape));
  outputs.add(a.dtype, a.shape);
}

template <KernelGetter kernel>
void launch(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& a = call.input(0);
  const LaunchDims dims = kernels::cpu::element_dims(a.shape.elements());
  const kernels::cpu::NoScalars scalars;
  if (call.input_count == 1)
    stream.launch(kernel(stream.isa(), a.dtype), dims, {reads(a), writes(outputs[0])}, scalars);
  else
    stream.launch(kernel(stream.isa(), a.dtype), dims, {reads(a), reads(call.input(1)), writes(outputs[0])},
                  scalars);
}

template <KernelGetter kernel>
constexpr OpSchema schema(std::string_view name, std::span<const std::string_view> inputs) {
  return {.name = name,
          .kind = OpKind::elementwise,
          .input_names = inputs,
          .infer = infer,
          .launch = launch<kernel>};
}

}  // namespace

const OpSchema kAdd = schema<kernels::cpu::add_kernel>("add", kBinaryInputs);
const OpSchema kMul = schema<kernels::cpu::mul_kernel>("mul", kBinaryInputs);
const OpSchema kSilu = schema<kernels::cpu::silu_kernel>("silu", kUnaryInputs);
const OpSchema kGelu = schema<kernels::cpu::gelu_kernel>("gelu", kUnaryInputs);
const OpSchema kGeluTanh = schema<kernels::cpu::gelu_tanh_kernel>("gelu_tanh", kUnaryInputs);

Tensor add(const Tensor& a, const Tensor& b) {
  return dispatch_one(OpCall(kAdd, {&a, &b}));
}
Tensor mul(const Tensor& a, const Tensor& b) {
  return dispatch_one(OpCall(kMul, {&a, &b}));
}
Tensor silu(const Tensor& x) {
  return dispatch_one(OpCall(kSilu, {&x}));
}
Tensor gelu(const Tensor& x) {
  return dispatch_one(OpCall(kGelu, {&x}));
}
Tensor gelu_tanh(const Tensor& x) {
  return dispatch_one(OpCall(kGeluTanh, {&x}));
}

}  // namespace reprise::ops

#include "ops/norm.h"

#include "kernels/cpu/norm.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kRmsInputs[] = {"x", "weight"};
constexpr std::string_view kLayerInputs[] = {"x", "weight", "bias"};
constexpr std::string_view kAttrs[] = {"eps"};

void infer(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(1);
  const int64_t dim = weight.shape.elements().constant;
  if (weight.dtype != DType::f32 || weight.shape.rank() != 1 || dim == 0 || x.shape.row_elements() % dim != 0)
    throw Error("[{}] x is {}, the weight {} {}; x's rows must be whole groups of the weight's elements",
                call.schema.name, to_string(x.shape), name_of(weight.dtype), to_string(weight.shape));
  outputs.add(x.dtype, x.shape);
}

kernels::cpu::NormScalars scalars_of(const OpCall& call) {
  return {.dim = call.input(1).shape[0].constant, .eps = static_cast<float>(call.real(0))};
}

LaunchDims dims_of(const OpCall& call) {
  const Shape& shape = call.input(0).shape;
  return kernels::cpu::row_dims(shape[0] * (shape.row_elements() / call.input(1).shape[0].constant));
}

void launch_rms(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  stream.launch(kernels::cpu::rms_norm_kernel(stream.isa(), call.input(0).dtype), dims_of(call),
                {reads(call.input(0)), reads(call.input(1)), writes(outputs[0])}, scalars_of(call));
}

void launch_layer(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  stream.launch(kernels::cpu::layer_norm_kernel(stream.isa(), call.input(0).dtype), dims_of(call),
                {reads(call.input(0)), reads(call.input(1)), reads(call.optional(2)), writes(outputs[0])},
                scalars_of(call));
}

}  // namespace

const OpSchema kRmsNorm{.name = "rms_norm",
                        .kind = OpKind::reduction,
                        .input_names = kRmsInputs,
                        .attr_names = kAttrs,
                        .infer = infer,
                        .launch = launch_rms};
const OpSchema kLayerNorm{.name = "layer_norm",
                          .kind = OpKind::reduction,
                          .input_names = kLayerInputs,
                          .attr_names = kAttrs,
                          .infer = infer,
                          .launch = launch_layer};

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return dispatch_one(OpCall(kRmsNorm, {&x, &weight}, {eps}));
}
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  return dispatch_one(OpCall(kLayerNorm, {&x, &weight, &bias}, {eps}));
}

}  // namespace reprise::ops

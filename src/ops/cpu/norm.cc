#include "kernels/cpu/norm.h"
#include "device/cpu/cpu_device.h"
#include "ops/cpu/launches.h"
#include "ops/norm.h"

namespace reprise::ops::cpu {
namespace {

kernels::cpu::NormScalars scalars_of(const OpCall& call, const Tensor& weight) {
  return {.dim = weight.shape[0].constant, .eps = static_cast<float>(call.real(0))};
}

LaunchDims norm_dims(const Tensor& x, const Tensor& weight) {
  return kernels::cpu::row_dims(x.shape[0] * (x.shape.row_elements() / weight.shape[0].constant));
}

void launch_rms(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(1);
  stream.launch(kernels::cpu::rms_norm_kernel(cpu_of(stream).isa(), x.dtype), norm_dims(x, weight),
                {reads(x), reads(weight), writes(outputs[0])}, scalars_of(call, weight));
}

void launch_layer(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(1);
  stream.launch(kernels::cpu::layer_norm_kernel(cpu_of(stream).isa(), x.dtype), norm_dims(x, weight),
                {reads(x), reads(weight), reads(call.optional(2)), writes(outputs[0])},
                scalars_of(call, weight));
}

void launch_add(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(2);
  stream.launch(kernels::cpu::add_rms_norm_kernel(cpu_of(stream).isa(), x.dtype), norm_dims(x, weight),
                {reads(x), reads(call.input(1)), reads(weight), writes(outputs[0]), writes(outputs[1])},
                scalars_of(call, weight));
}

}  // namespace

std::span<const LaunchEntry> norm_launches() {
  static constexpr LaunchEntry kEntries[] = {
      {&kRmsNorm, {launch_rms}}, {&kLayerNorm, {launch_layer}}, {&kAddRmsNorm, {launch_add}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

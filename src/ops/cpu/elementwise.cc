#include "kernels/cpu/elementwise.h"
#include "device/cpu/cpu_device.h"
#include "ops/cpu/launches.h"
#include "ops/elementwise.h"

namespace reprise::ops::cpu {
namespace {

using KernelGetter = const Kernel& (*)(Isa, DType);

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

}  // namespace

std::span<const LaunchEntry> elementwise_launches() {
  namespace k = kernels::cpu;
  static constexpr LaunchEntry kEntries[] = {{&kAdd, {launch_elementwise<k::add_kernel>}},
                                             {&kMul, {launch_elementwise<k::mul_kernel>}},
                                             {&kSilu, {launch_elementwise<k::silu_kernel>}},
                                             {&kGelu, {launch_elementwise<k::gelu_kernel>}},
                                             {&kGeluTanh, {launch_elementwise<k::gelu_tanh_kernel>}},
                                             {&kSiluMul, {launch_gated<k::silu_mul_kernel>}},
                                             {&kGeluMul, {launch_gated<k::gelu_mul_kernel>}},
                                             {&kGeluTanhMul, {launch_gated<k::gelu_tanh_mul_kernel>}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

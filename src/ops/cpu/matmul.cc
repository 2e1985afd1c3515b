#include "ops/cpu/matmul.h"

#include "core/error.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/pack.h"
#include "ops/cpu/launches.h"
#include "ops/matmul.h"

namespace reprise::ops::cpu {
namespace {

static_assert(kMaxMatmulSegments == kernels::cpu::kMaxSegments);

void launch_matmul(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const size_t segments = outputs.size();
  const Tensor& first = call.optional(1);  // the others are packed alike
  if (first.packing != kernels::cpu::packing_of(x.dtype))
    throw Error(
        "[{}] no kernel of the CPU multiplies {} activations by {} weights in {}; load the weights in "
        "the dtype of the activations, float32 or bfloat16",
        call.schema.name, name_of(x.dtype), name_of(first.dtype), to_string(first.packing));
  kernels::cpu::MatmulScalars scalars{.rows = x.shape[0],
                                      .k = x.shape[1].constant,
                                      .out = call.dtype(0),
                                      .segments = static_cast<int32_t>(segments)};
  std::array<BufferArg, 1 + 3 * kMaxMatmulSegments> buffers;
  buffers[0] = reads(x);
  for (size_t i = 0; i < segments; ++i) {
    const Tensor& weight = call.optional(1 + 2 * static_cast<int>(i));
    scalars.n[i] = weight.shape[0].constant;
    buffers[1 + 3 * i] = reads(weight);
    buffers[2 + 3 * i] = reads(call.optional(2 + 2 * static_cast<int>(i)));
    buffers[3 + 3 * i] = writes(outputs[i]);
  }
  const Isa isa = cpu_of(stream).isa();
  const LaunchDims dims = kernels::cpu::cut_matmul(scalars, isa, x.dtype, cpu_of(stream).team().size());
  stream.launch(kernels::cpu::matmul_kernel(isa, x.dtype), dims,
                std::span<const BufferArg>(buffers.data(), 1 + 3 * segments), scalars);
}

}  // namespace

void launch_coded_matmul(const kernels::cpu::MatmulCode& code, std::string_view name, Stream& stream,
                         std::span<const Tensor* const> inputs, std::span<const Tensor> outputs) {
  std::array<BufferArg, Launch::kMaxBuffers> buffers;
  size_t count = 0;
  for (const Tensor* input : inputs) buffers[count++] = reads(*input);
  for (const Tensor& output : outputs) buffers[count++] = writes(output);
  kernels::cpu::CodedMatmulScalars scalars{.code = &code, .rows = outputs[0].shape[0]};
  const LaunchDims dims =
      kernels::cpu::cut_coded_matmul(scalars, cpu_of(stream).isa(), cpu_of(stream).team().size());
  stream.launch(Kernel{name, kernels::cpu::coded_matmul}, dims,
                std::span<const BufferArg>(buffers.data(), count), scalars);
}

std::span<const LaunchEntry> matmul_launches() {
  static constexpr LaunchEntry kEntries[] = {{&kMatmul, {launch_matmul}}, {&kMatmulGroup, {launch_matmul}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

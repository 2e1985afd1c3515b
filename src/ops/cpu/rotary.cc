#include "ops/cpu/rotary.h"

#include "device/cpu/cpu_device.h"
#include "kernels/cpu/rotary.h"
#include "ops/cpu/launches.h"
#include "ops/rotary.h"
#include "ops/rotary_kv_write.h"

namespace reprise::ops::cpu {
namespace {

using namespace rotary_kv_write;

void launch_angles(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const kernels::cpu::RotaryAnglesScalars scalars{.half = call.integer(0) / 2,
                                                  .attention_scaling = static_cast<float>(call.real(1)),
                                                  .round_bf16 = call.dtype(2) == DType::bf16,
                                                  .dynamic = call.integer(3) != 0,
                                                  .base = call.real(4),
                                                  .factor = call.real(5),
                                                  .original_max_position = call.integer(6)};
  stream.launch(kernels::cpu::rotary_angles_kernel(cpu_of(stream).isa(), DType::f32),
                {.items = call.input(0).shape[0], .grain = 16},
                {reads(call.input(0)), reads(call.input(1)), reads(call.input(2)), writes(outputs[0]),
                 writes(outputs[1])},
                scalars);
}

void launch_rotary(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const int64_t width = x.shape[1].constant;
  const int64_t head_dim = call.integer(0);
  const kernels::cpu::RotaryScalars scalars{
      .heads = width / head_dim,
      .head_dim = head_dim,
      .rot_dim = call.input(1).shape[1].constant * 2,
      .x_stride = width,
      .y_stride = width,
      .interleaved = call.integer(1) == static_cast<int64_t>(RotaryStyle::interleaved),
      .round_products = call.integer(2) != 0};
  stream.launch(kernels::cpu::rotary_kernel(cpu_of(stream).isa(), x.dtype),
                kernels::cpu::rotary_dims(x.shape[0], scalars.heads),
                {reads(x), reads(call.input(1)), reads(call.input(2)), writes(outputs[0])}, scalars);
}

void launch_rotary_kv(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                      WorkspaceAllocator&) {
  launch_coded_rotary_kv(nullptr, call, stream, outputs[0]);
}

}  // namespace

void launch_coded_rotary_kv(const kernels::cpu::RotaryKvWriteCode* code, const OpCall& call, Stream& stream,
                            const Tensor& y) {
  const Tensor& q = call.input(kQ);
  const int64_t head_dim = call.integer(kHeadDim);
  const kernels::cpu::RotaryKvWriteScalars scalars{
      .heads = q.shape[1].constant / head_dim,
      .kv_heads = call.integer(kKvHeads),
      .head_dim = head_dim,
      .rot_dim = call.input(kCos).shape[1].constant * 2,
      .block_size = call.integer(kBlockSize),
      .interleaved = call.integer(kStyle) == static_cast<int64_t>(RotaryStyle::interleaved),
      .round_products = call.integer(kRoundProducts) != 0,
      .eps = static_cast<float>(call.real(kEps)),
      .code = code};
  Kernel kernel = kernels::cpu::rotary_kv_write_kernel(cpu_of(stream).isa(), q.dtype);
  if (code != nullptr) kernel = {kRotaryKvWrite.name, kernels::cpu::coded_rotary_kv_write};
  stream.launch(kernel, kernels::cpu::rotary_kv_write_dims(scalars),
                {reads(q), reads(call.input(kK)), reads(call.input(kV)), reads(call.optional(kQNorm)),
                 reads(call.optional(kKNorm)), reads(call.input(kCos)), reads(call.input(kSin)),
                 reads(call.optional(kPositions)), reads(call.input(kSlots)), updates(call.input(kKeys)),
                 updates(call.input(kValues)), writes(y)},
                scalars);
}

std::span<const LaunchEntry> rotary_launches() {
  static constexpr LaunchEntry kEntries[] = {
      {&kRotaryAngles, {launch_angles}}, {&kRotary, {launch_rotary}}, {&kRotaryKvWrite, {launch_rotary_kv}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

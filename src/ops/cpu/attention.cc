#include "ops/cpu/attention.h"

#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/kv_write.h"
#include "ops/attention.h"
#include "ops/cpu/launches.h"

namespace reprise::ops::cpu {
namespace {

using kernels::cpu::AttentionScalars;

static_assert(kMaxHeadDim == kernels::cpu::kAttentionMaxHeadDim);

void launch_write(const OpCall& call, Stream& stream, std::span<const Tensor>, WorkspaceAllocator&) {
  const int64_t width = call.integer(0) * call.integer(1);
  const kernels::cpu::KvWriteScalars scalars{.kv_heads = call.integer(0),
                                             .head_dim = call.integer(1),
                                             .block_size = call.integer(2),
                                             .k_stride = width,
                                             .v_stride = width};
  stream.launch(kernels::cpu::kv_write_kernel(cpu_of(stream).isa(), call.input(0).dtype),
                kernels::cpu::kv_write_dims(scalars.kv_heads),
                {reads(call.input(0)), reads(call.input(1)), reads(call.input(2)), updates(call.input(3)),
                 updates(call.input(4))},
                scalars);
}

AttentionScalars scalars_of(const OpCall& call, int workers) {
  const int64_t heads = call.integer(0);
  const int64_t head_dim = call.integer(2);
  const int64_t partition_size = call.integer(6);
  AttentionScalars scalars{.heads = heads,
                           .kv_heads = call.integer(1),
                           .head_dim = head_dim,
                           .block_size = call.integer(5),
                           .max_blocks = call.input(3).shape[1].constant,
                           .window = call.integer(4),
                           .partition_size = partition_size,
                           .partitions = (call.integer(7) + partition_size - 1) / partition_size,
                           .q_stride = heads * head_dim,
                           .out_stride = heads * head_dim,
                           .scale = static_cast<float>(call.real(3))};
  scalars.split_tokens = kernels::cpu::attention_split_tokens(scalars, workers);
  return scalars;
}

void launch_attention(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                      WorkspaceAllocator& allocator) {
  launch_coded_attention(nullptr, call, stream, outputs, allocator);
}

}  // namespace

void launch_coded_attention(const kernels::cpu::AttentionCode* code, const OpCall& call, Stream& stream,
                            std::span<const Tensor> outputs, WorkspaceAllocator& allocator) {
  const Tensor& q = call.input(0);
  AttentionScalars scalars = scalars_of(call, cpu_of(stream).team().size());
  scalars.code = code;
  Kernel kernel = kernels::cpu::paged_attention_kernel(cpu_of(stream).isa(), q.dtype);
  if (code != nullptr) kernel = {kPagedAttention.name, kernels::cpu::coded_attention};
  Tensor workspace;
  if (scalars.split_tokens > 0)
    workspace = allocator.workspace(DType::i8, Shape{kernels::cpu::attention_workspace_bytes(scalars)});
  stream.launch(
      kernel, kernels::cpu::attention_dims(scalars),
      {reads(q), reads(call.input(1)), reads(call.input(2)), reads(call.input(3)), reads(call.input(4)),
       reads(call.input(5)), writes(outputs[0]), workspace ? writes(workspace) : BufferArg{}},
      scalars);
  if (scalars.split_tokens > 0)
    stream.launch(kernels::cpu::attention_merge_kernel(cpu_of(stream).isa(), q.dtype),
                  kernels::cpu::attention_merge_dims(scalars),
                  {reads(workspace), reads(call.input(4)), reads(call.input(5)), updates(outputs[0])},
                  scalars);
}

std::span<const LaunchEntry> attention_launches() {
  static constexpr LaunchEntry kEntries[] = {{&kKvWrite, {launch_write}},
                                             {&kPagedAttention, {launch_attention}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

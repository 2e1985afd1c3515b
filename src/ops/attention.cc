#include "ops/attention.h"

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/kv_write.h"

namespace reprise::ops {
namespace {

using kernels::cpu::AttentionScalars;

constexpr std::string_view kWriteInputs[] = {"k", "v", "slots", "keys", "values"};
constexpr std::string_view kWriteAttrs[] = {"kv_heads", "head_dim", "block_size"};
constexpr std::string_view kAttentionInputs[] = {"q",        "keys", "values", "block_tables", "seq_of_token",
                                                 "positions"};
constexpr std::string_view kAttentionAttrs[] = {"heads",  "kv_heads",   "head_dim",       "scale",
                                                "window", "block_size", "partition_size", "max_model_len"};

void infer_write(const OpCall& call, OutputSpecs&) {
  const Tensor& k = call.input(0);
  const int64_t width = call.integer(0) * call.integer(1);
  if (k.shape.rank() != 2 || k.shape[1] != Dim{width} || k.shape != call.input(1).shape ||
      call.input(3).dtype != k.dtype)
    throw Error("[kv_write] k {} {}, v {}, a cache of {}; expected twice [T, {}] of the cache's dtype",
                name_of(k.dtype), to_string(k.shape), to_string(call.input(1).shape),
                name_of(call.input(3).dtype), width);
}

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

AttentionScalars scalars_of(const OpCall& call) {
  const int64_t heads = call.integer(0);
  const int64_t head_dim = call.integer(2);
  const int64_t partition_size = call.integer(6);
  return {.heads = heads,
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
}

void infer_attention(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& q = call.input(0);
  const AttentionScalars scalars = scalars_of(call);
  kernels::cpu::check_attention(scalars);
  if (q.shape.rank() != 2 || q.shape[1] != Dim{scalars.heads * scalars.head_dim} ||
      call.input(1).dtype != q.dtype)
    throw Error("[paged_attention] q {} {}, a cache of {}; expected [T, {}] of the cache's dtype",
                name_of(q.dtype), to_string(q.shape), name_of(call.input(1).dtype),
                scalars.heads * scalars.head_dim);
  outputs.add(q.dtype, q.shape);
}

void launch_attention(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                      WorkspaceAllocator& allocator) {
  const Tensor& q = call.input(0);
  const AttentionScalars scalars = scalars_of(call);
  Tensor workspace;
  if (scalars.partitions > 1)
    workspace = allocator.workspace(DType::i8, Shape{kernels::cpu::attention_workspace_bytes(scalars)});
  stream.launch(
      kernels::cpu::paged_attention_kernel(cpu_of(stream).isa(), q.dtype),
      kernels::cpu::attention_dims(scalars),
      {reads(q), reads(call.input(1)), reads(call.input(2)), reads(call.input(3)), reads(call.input(4)),
       reads(call.input(5)), writes(outputs[0]), workspace ? writes(workspace) : BufferArg{}},
      scalars);
  if (scalars.partitions > 1)
    stream.launch(kernels::cpu::attention_merge_kernel(cpu_of(stream).isa(), q.dtype),
                  kernels::cpu::attention_merge_dims(scalars),
                  {reads(workspace), reads(call.input(4)), reads(call.input(5)), updates(outputs[0])},
                  scalars);
}

}  // namespace

const OpSchema kKvWrite{.name = "kv_write",
                        .kind = OpKind::data_movement,
                        .input_names = kWriteInputs,
                        .attr_names = kWriteAttrs,
                        .mutated_inputs = (1u << 3) | (1u << 4),
                        .infer = infer_write,
                        .launch = launch_write};
const OpSchema kPagedAttention{.name = "paged_attention",
                               .kind = OpKind::attention,
                               .input_names = kAttentionInputs,
                               .attr_names = kAttentionAttrs,
                               .infer = infer_attention,
                               .launch = launch_attention};

void kv_write(const Tensor& k, const Tensor& v, const Tensor& slots, const Tensor& keys, const Tensor& values,
              const AttentionParams& params, Where where) {
  dispatch(OpCall(kKvWrite, {&k, &v, &slots, &keys, &values},
                  {params.kv_heads, params.head_dim, params.block_size}, where));
}

Tensor paged_attention(const Tensor& q, const Tensor& keys, const Tensor& values, const Tensor& block_tables,
                       const Tensor& seq_of_token, const Tensor& positions, const AttentionParams& params,
                       Where where) {
  return dispatch_one(OpCall(kPagedAttention, {&q, &keys, &values, &block_tables, &seq_of_token, &positions},
                             {params.heads, params.kv_heads, params.head_dim, params.scale, params.window,
                              params.block_size, params.partition_size, params.max_model_len},
                             where));
}

}  // namespace reprise::ops

#include "ops/attention.h"

#include "core/error.h"
#include "core/kv_layout.h"

namespace reprise::ops {
namespace {

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

void check_attention(const OpCall& call) {
  const auto require = [](bool right, std::string_view what, int64_t found, std::string_view expected) {
    if (!right) throw Error("[paged_attention] {} is {}, expected {}", what, found, expected);
  };
  const int64_t heads = call.integer(0), kv_heads = call.integer(1), head_dim = call.integer(2);
  const int64_t window = call.integer(4), block_size = call.integer(5), partition_size = call.integer(6);
  require(kv_heads >= 1, "kv_heads", kv_heads, "at least 1");
  require(heads >= 1 && heads % kv_heads == 0, "heads", heads, "a multiple of kv_heads");
  require(head_dim >= 1 && head_dim <= kMaxHeadDim, "head_dim", head_dim, "1 to 256");
  require(block_size >= 16 && block_size % 16 == 0, "block_size", block_size, "a multiple of 16");
  require(call.input(3).shape[1].constant >= 1, "max_blocks", call.input(3).shape[1].constant, "at least 1");
  require(window >= 0, "window", window, "0 or more");
  require(partition_size >= kAttentionTile && partition_size % kAttentionTile == 0, "partition_size",
          partition_size, "a multiple of 64");
}

void infer_attention(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& q = call.input(0);
  check_attention(call);
  const int64_t width = call.integer(0) * call.integer(2);
  if (q.shape.rank() != 2 || q.shape[1] != Dim{width} || call.input(1).dtype != q.dtype)
    throw Error("[paged_attention] q {} {}, a cache of {}; expected [T, {}] of the cache's dtype",
                name_of(q.dtype), to_string(q.shape), name_of(call.input(1).dtype), width);
  outputs.add(q.dtype, q.shape);
}

}  // namespace

const OpSchema kKvWrite{.name = "kv_write",
                        .kind = OpKind::data_movement,
                        .input_names = kWriteInputs,
                        .attr_names = kWriteAttrs,
                        .mutated_inputs = (1u << 3) | (1u << 4),
                        .infer = infer_write};
const OpSchema kPagedAttention{.name = "paged_attention",
                               .kind = OpKind::attention,
                               .input_names = kAttentionInputs,
                               .attr_names = kAttentionAttrs,
                               .infer = infer_attention};

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

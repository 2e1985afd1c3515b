#include "kernels/cpu/attention.h"

#include "core/error.h"

namespace reprise::kernels::cpu {

void check_attention(const AttentionScalars& s) {
  const auto fail = [](std::string_view what, int64_t found, std::string_view expected) {
    throw Error("[paged_attention] " + std::string(what) + " is " + std::to_string(found) + ", expected " +
                std::string(expected));
  };
  if (s.kv_heads < 1) fail("kv_heads", s.kv_heads, "at least 1");
  if (s.heads < 1 || s.heads % s.kv_heads != 0) fail("heads", s.heads, "a multiple of kv_heads");
  if (s.head_dim < 1 || s.head_dim > kAttentionMaxHeadDim) fail("head_dim", s.head_dim, "1 to 256");
  if (s.block_size < 16 || s.block_size % 16 != 0) fail("block_size", s.block_size, "a multiple of 16");
  if (s.max_blocks < 1) fail("max_blocks", s.max_blocks, "at least 1");
  if (s.window < 0) fail("window", s.window, "0 or more");
  if (s.partitions < 1) fail("partitions", s.partitions, "at least 1");
  if (s.partitions > 1 && (s.partition_size < kAttentionTile || s.partition_size % kAttentionTile != 0))
    fail("partition_size", s.partition_size, "a multiple of 64");
  if (s.q_stride < s.heads * s.head_dim) fail("q_stride", s.q_stride, "at least heads * head_dim");
  if (s.out_stride < s.heads * s.head_dim) fail("out_stride", s.out_stride, "at least heads * head_dim");
}

int64_t attention_workspace_bytes(const AttentionScalars& s) {
  if (s.partitions == 1) return 0;
  return kAttentionSplitTokens * s.heads * s.partitions * (s.head_dim + 2) *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace reprise::kernels::cpu

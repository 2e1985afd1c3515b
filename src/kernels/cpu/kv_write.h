// The paged KV cache of one layer and the kernel that writes to it.
//
// A block holds block_size positions of one sequence. Its layout serves attention (attention.h), which takes
// 16 words of 32 bits as the lanes of a vector. A word holds n elements that are multiplied one after the
// other, or at once by vdpbf16ps: one f32, or two bf16, the first in the lower half.
//   K  [block][kv_head][ceil(head_dim / n)][block_size]  words of n elements of a key, transposed
//   V  [block][kv_head][block_size / n][head_dim]        words of an element of n keys in a row
// An odd head_dim is padded: K with zeros, V at the end of a head. block_size is a multiple of 16. Block 0 is
// the null block: a slot inside it marks a padding row and nothing is written; its contents never matter. Nor
// do those of positions not written yet: attention masks.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

// Elements of one block of K, and of one block of V.
constexpr int64_t kv_block_elements(DType dtype, int64_t kv_heads, int64_t head_dim, int64_t block_size) {
  const auto n = static_cast<int64_t>(4 / size_of(dtype));
  return kv_heads * ((head_dim + n - 1) / n * n) * block_size;
}

struct KvWriteScalars {
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_size = 0;  // a multiple of 16
  int64_t k_stride = 0;    // elements from token to token, >= kv_heads * head_dim
  int64_t v_stride = 0;
};

// Items are kv_head * T + token.
//   0 k [T, kv_heads, head_dim]   1 v [T, kv_heads, head_dim]   2 slots i32 [T]: block * block_size + offset;
//   those below block_size (block 0) are skipped   3 k_cache   4 v_cache
const Kernel& kv_write_kernel(Isa isa, DType dtype);

inline LaunchDims kv_write_dims(int64_t kv_heads) {
  return {.items = kTokens * kv_heads, .grain = 4};
}

}  // namespace reprise::kernels::cpu

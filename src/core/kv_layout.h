// The paged KV cache of one layer, as every device lays it out.
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

#include <cstdint>

#include "core/dtype.h"

namespace reprise {

// Attention takes keys in tiles of so many, at absolute positions; the edges of partitions are edges of
// tiles.
inline constexpr int64_t kAttentionTile = 64;

// Elements of one block of K, and of one block of V.
constexpr int64_t kv_block_elements(DType dtype, int64_t kv_heads, int64_t head_dim, int64_t block_size) {
  const auto n = static_cast<int64_t>(4 / size_of(dtype));
  return kv_heads * ((head_dim + n - 1) / n * n) * block_size;
}

}  // namespace reprise

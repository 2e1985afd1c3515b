// Attention of a decode step as a program of a kind of its own: no loop over the columns of a row, but one shape, of
// which a compiler makes one function. What it computes is said in kernels/cpu/attention.h, bit by bit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"

namespace reprise::loop {

// All that the code has as constants. What depends on settings of the engine is read when it runs (AttentionSettings).
struct Attention {
  static constexpr int64_t kMostGroup = 16;  // query heads of a kv head
  static constexpr int64_t kMostHeadDim = 256;

  DType dtype = DType::f32;  // or bf16
  int64_t heads = 0;         // sets * group() is at most kMostGroup
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_size = 0;  // a multiple of 16
  int64_t window = 0;      // 0: all keys
  int64_t sets = 1;        // kv heads of a token that are computed together; divides kv_heads

  int64_t group() const { return heads / kv_heads; }
  bool operator==(const Attention&) const = default;
};

// What the code finds in KernelContext::scalars.
struct AttentionSettings {
  int64_t max_blocks = 0;      // columns of the block tables
  int64_t partition_size = 0;  // a multiple of 64
  float scale = 1;
};

// "attention float32 heads 8 kv_heads 4 head_dim 8 block 64 window 0 sets 4\n"
std::string print(const Attention& attention);
// Whether a text is meant to be one, rather than a loop program.
bool is_attention(std::string_view text);
// Throws Error on what print() does not write and on sizes out of range.
Attention parse_attention(std::string_view text);

}  // namespace reprise::loop

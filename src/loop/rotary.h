// Rotation of q and k, and k and v into the cache, of one shape, as a program of a kind of its own: no loop over the
// columns of a row, but one function for all heads of a token. What it computes is said in
// kernels/cpu/rotary_kv_write.h, bit by bit.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/dtype.h"

namespace reprise::loop {

// All that the code has as constants; the number of tokens is not among them. An item of the code is a token with
// `sets` kv heads and the query heads of those: item part * T + token.
struct RotaryKvWrite {
  static constexpr int64_t kMostHeadDim = 256;

  DType dtype = DType::f32;  // or bf16
  int64_t heads = 0;         // a multiple of kv_heads
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t rot_dim = 0;          // 2 to head_dim, even
  int64_t block_size = 0;       // a multiple of 16
  bool interleaved = false;     // pairs (2i, 2i + 1)
  bool round_products = false;  // of bf16
  bool q_norm = false, k_norm = false;
  bool positions = false;  // of tokens, rows of cos and sin
  float eps = 0;           // of the norms; 0 where there is none
  int64_t sets = 1;        // divides kv_heads

  int64_t group() const { return heads / kv_heads; }
  int64_t items_of_token() const { return kv_heads / sets; }
  bool operator==(const RotaryKvWrite&) const = default;
};

// "rotary_kv_write float32 heads 8 kv_heads 4 head_dim 8 rot_dim 8 block 64 interleaved 0 round_products 0 q_norm 0
// k_norm 0 positions 1 eps 00000000 sets 4\n"
std::string print(const RotaryKvWrite& rotary);
// Whether a text is meant to be one, rather than a loop program.
bool is_rotary_kv_write(std::string_view text);
// Throws Error on what print() does not write and on sizes out of range.
RotaryKvWrite parse_rotary_kv_write(std::string_view text);

}  // namespace reprise::loop

// Rotary position embedding, as transformers computes it (modeling_rope_utils.py and the models' apply
// functions).
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct RotaryAnglesScalars {
  int64_t half = 0;             // rot_dim / 2, >= 1
  float attention_scaling = 1;  // yarn's; multiplies cos and sin
  bool round_bf16 = false;  // cos and sin rounded to bf16 values: families that cast them to the model's bf16
  bool dynamic = false;     // dynamic NTK scaling; the fields below are only read then
  Unused<2> unused{};
  double base = 10000;  // rope_theta
  double factor = 1;
  int64_t original_max_position = 0;
};

// cos, sin of f32(position) * inv_freq, times attention_scaling; each angle a product in f32 as torch has it,
// its sine and cosine right to 0.51 ulp for positions up to 2^24. Dynamic: where a token's length exceeds
// original_max_position, its inverse frequencies are those of the base scaled for that length. Items are
// tokens.
//   0 positions i32 [T], >= 0
//   1 lengths i32 [T]: max(prompt length, position + 1); absent where not dynamic
//   2 inv_freq f32 [half]   3 cos f32 [T, half]   4 sin f32 [T, half]
// dtype is that of cos and sin: f32.
const Kernel& rotary_angles_kernel(Isa isa, DType dtype);

struct RotaryScalars {
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t rot_dim = 0;   // even, <= head_dim: elements beyond are copied
  int64_t x_stride = 0;  // elements from token to token, >= heads * head_dim
  int64_t y_stride = 0;
  bool interleaved = false;     // pairs (2i, 2i + 1) instead of (i, i + rot_dim / 2)
  bool round_products = false;  // bf16: each product is rounded before the sum (Llama, Qwen); ERNIE keeps f32
  Unused<6> unused{};
};

// (a, b) -> (a cos - b sin, b cos + a sin) on each pair of each head; items are the T * heads heads.
//   0 x [T, heads, head_dim]   1 cos f32 [T, rot_dim / 2]   2 sin   3 y [T, heads, head_dim], may be x
const Kernel& rotary_kernel(Isa isa, DType dtype);

inline LaunchDims rotary_dims(Dim tokens, int64_t heads) {
  return {.items = tokens * heads, .grain = 4};
}

}  // namespace reprise::kernels::cpu

// Norm and rotation of the heads of q and k, and k and v into the cache, in one launch: the bits of
// rms_norm (norm.h), rotary (rotary.h) and kv_write (kv_write.h) one after the other.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct RotaryKvWriteScalars {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t rot_dim = 0;     // even, <= head_dim
  int64_t block_size = 0;  // of the cache, a multiple of 16
  bool interleaved = false;
  bool round_products = false;
  Unused<2> unused{};
  float eps = 0;  // of the norms
};

// Items: the T * heads heads of q, then kv_head * T + token.
//   0 q [T, heads, head_dim]   1 k [T, kv_heads, head_dim]   2 v [T, kv_heads, head_dim]
//   3 norm of q's heads f32 [head_dim] or absent   4 norm of k's heads or absent
//   5 cos f32 [rows, rot_dim / 2]   6 sin   7 positions i32 [T], rows of cos and sin, or absent: row = token
//   8 slots i32 [T]; those in block 0 are skipped   9 k_cache   10 v_cache
//   11 y [T, heads, head_dim], may be q
const Kernel& rotary_kv_write_kernel(Isa isa, DType dtype);

inline LaunchDims rotary_kv_write_dims(const RotaryKvWriteScalars& scalars) {
  return {.items = kTokens * (scalars.heads + scalars.kv_heads), .grain = 16};
}

}  // namespace reprise::kernels::cpu

// Norm and rotation of the heads of q and k, and k and v into the cache, in one launch: the bits of
// rms_norm (norm.h), rotary (rotary.h) and kv_write (kv_write.h) one after the other.
#pragma once

#include <algorithm>
#include <atomic>

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

// Code that was generated for one shape (loop/rotary.h), of a level. Its items are tokens with `sets` kv heads and the
// query heads of those, part * T + token, which cost the same each. Until it is there `by_hand` computes them. Lives as
// long as the recordings that name it.
struct RotaryKvWriteCode {
  int64_t sets = 1;                  // divides kv_heads, which divides heads
  KernelFunction by_hand = nullptr;  // rotary_kv_write_kernel() of the level
  std::atomic<KernelFunction> generated{nullptr};
};

struct RotaryKvWriteScalars {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t rot_dim = 0;     // even, <= head_dim
  int64_t block_size = 0;  // of the cache, a multiple of 16
  bool interleaved = false;
  bool round_products = false;
  Unused<2> unused{};
  float eps = 0;                            // of the norms
  const RotaryKvWriteCode* code = nullptr;  // of coded_rotary_kv_write()
};

// Items: the T * heads heads of q, then kv_head * T + token.
//   0 q [T, heads, head_dim]   1 k [T, kv_heads, head_dim]   2 v [T, kv_heads, head_dim]
//   3 norm of q's heads f32 [head_dim] or absent   4 norm of k's heads or absent
//   5 cos f32 [rows, rot_dim / 2]   6 sin   7 positions i32 [T], rows of cos and sin, or absent: row = token
//   8 slots i32 [T]; those in block 0 are skipped   9 k_cache   10 v_cache
//   11 y [T, heads, head_dim], may be q
const Kernel& rotary_kv_write_kernel(Isa isa, DType dtype);

// The same launch with scalars.code, which must not be null, and items as that has them.
void coded_rotary_kv_write(const KernelContext& context, int64_t begin, int64_t end);

inline LaunchDims rotary_kv_write_dims(const RotaryKvWriteScalars& scalars) {
  if (scalars.code != nullptr) {
    // Of q, k and v. To hand over less than this to another worker takes longer than to compute it.
    constexpr int64_t kLeastElements = 1024;
    const int64_t parts = scalars.kv_heads / scalars.code->sets;
    const int64_t elements = (scalars.heads + 2 * scalars.kv_heads) * scalars.head_dim / parts;
    return {.items = kTokens * parts, .grain = std::max<int64_t>(1, kLeastElements / elements)};
  }
  return {.items = kTokens * (scalars.heads + scalars.kv_heads), .grain = 16};
}

}  // namespace reprise::kernels::cpu

// The kernel that writes to the paged KV cache (core/kv_layout.h) of one layer.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/kv_layout.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

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

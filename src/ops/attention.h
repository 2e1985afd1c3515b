// Attention over the paged KV cache: new keys and values go into their slots, then every query token sees the
// keys of its sequence up to its own position.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

inline constexpr int64_t kMaxHeadDim = 256;

struct AttentionParams {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  double scale = 0;        // on the scores
  int64_t window = 0;      // a token sees the last `window` keys, its own among them; 0: all
  int64_t block_size = 0;  // positions per KV block
  int64_t max_model_len = 0;
  int64_t partition_size = 0;  // keys per partition; their number follows from max_model_len alone
};

// k, v [T, kv_heads * head_dim]; slots i32 [T]; keys and values are one layer's cache (state).
void kv_write(const Tensor& k, const Tensor& v, const Tensor& slots, const Tensor& keys, const Tensor& values,
              const AttentionParams& params, Where where = Where::current());

// q [T, heads * head_dim]; block_tables i32 [S, n]; seq_of_token, positions i32 [T] -> [T, heads * head_dim].
Tensor paged_attention(const Tensor& q, const Tensor& keys, const Tensor& values, const Tensor& block_tables,
                       const Tensor& seq_of_token, const Tensor& positions, const AttentionParams& params,
                       Where where = Where::current());

extern const OpSchema kKvWrite;
extern const OpSchema kPagedAttention;

}  // namespace reprise::ops

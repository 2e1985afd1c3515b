// What happens between a layer's projections and its attention, as one op: norm and rotation of q and k, and
// k and v into the cache.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// Places of its inputs and attributes.
namespace rotary_kv_write {
enum Input { kQ, kK, kV, kQNorm, kKNorm, kCos, kSin, kPositions, kSlots, kKeys, kValues };
enum Attr { kKvHeads, kHeadDim, kBlockSize, kStyle, kRoundProducts, kEps };
}  // namespace rotary_kv_write

// Fused, made by passes.
//   (q [T, heads * head_dim], k, v [T, kv_heads * head_dim], q_norm, k_norm f32 [head_dim] or absent,
//    cos, sin f32, positions i32 [T] or absent, slots i32 [T], keys, values)
//   {kv_heads, head_dim, block_size, style, round_products, eps} -> q turned; writes keys and values.
// Without positions, cos and sin are those of rotary_angles, [T, rot_dim / 2]; with them, tables
// [positions, rot_dim / 2] of which a token takes the row of its position. In plainer ops: rms_norm of the
// heads of q and k where they have a norm, gather_rows of the tables where there are positions, rotary of
// both, kv_write.
extern const OpSchema kRotaryKvWrite;

}  // namespace reprise::ops

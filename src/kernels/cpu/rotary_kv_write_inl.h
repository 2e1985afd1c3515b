// Implementation of the kernel that rotary_kv_write.h declares (buffers, items and scalars are listed there),
// made of the functions of norm.h, rotary.h and kv_write.h. Compiled once for each level of the ISA.
#pragma once

#include "kernels/cpu/kv_write_inl.h"
#include "kernels/cpu/norm_inl.h"
#include "kernels/cpu/rotary_inl.h"
#include "kernels/cpu/rotary_kv_write.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

template <typename E, bool kRound>
REPRISE_VEC_INLINE void rotate_and_write(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<RotaryKvWriteScalars>();
  const int32_t* positions = context.buffer<int32_t>(7);
  const int32_t* slots = context.buffer<int32_t>(8);
  const int64_t tokens = context.sizes.tokens, dim = scalars.head_dim, half = scalars.rot_dim / 2;
  E* key = reinterpret_cast<E*>(context.scratch);  // [dim], the rotated head of k
  const NormScalars norm_scalars{.dim = dim, .eps = scalars.eps};
  const auto rotate = [&](const E* x, const float* norm, int64_t token, E* y) {
    if (norm != nullptr) {
      rms_norm_row(x, norm, y, norm_scalars);
      x = y;
    }
    const int64_t row = (positions == nullptr ? token : positions[token]) * half;
    rotate_head<E, kRound>(x, context.buffer<float>(5) + row, context.buffer<float>(6) + row, y, dim,
                           scalars.rot_dim, scalars.interleaved);
  };
  for (int64_t item = begin; item < end; ++item) {
    if (item < tokens * scalars.heads) {
      rotate(context.buffer<E>(0) + item * dim, context.buffer<float>(3), item / scalars.heads,
             context.buffer<E>(11) + item * dim);
      continue;
    }
    const int64_t place = item - tokens * scalars.heads;
    const int64_t head = place / tokens, token = place % tokens;
    if (slots[token] < scalars.block_size) continue;  // block 0 is the null block: rows of padding
    fetch_slot(head, slots[token], scalars.kv_heads, dim, scalars.block_size, context.buffer<E>(9));
    const int64_t start = (token * scalars.kv_heads + head) * dim;
    rotate(context.buffer<E>(1) + start, context.buffer<float>(4), token, key);
    write_slot(key, context.buffer<E>(2) + start, head, slots[token], scalars.kv_heads, dim,
               scalars.block_size, context.buffer<E>(9), context.buffer<E>(10));
  }
}

template <typename E>
void rotary_kv_write(const KernelContext& context, int64_t begin, int64_t end) {
  if (context.get_scalars<RotaryKvWriteScalars>().round_products)
    rotate_and_write<E, true>(context, begin, end);
  else
    rotate_and_write<E, false>(context, begin, end);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Implementation of the kernel that kv_write.h declares, compiled once for each level of the ISA. Consecutive
// items are tokens of one head, so that the columns of a K block fill up in cache.
#pragma once

#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// Elements of a word of the cache.
template <typename E>
inline constexpr int64_t kWordElements = static_cast<int64_t>(4 / sizeof(E));

// Elements from head to head of a block.
template <typename E>
REPRISE_VEC_INLINE int64_t head_elements(int64_t dim, int64_t block_size) {
  return (dim + kWordElements<E> - 1) / kWordElements<E> * kWordElements<E> * block_size;
}

// Where a slot's keys lie. Each word goes to a cache line of its own, which a step's weights have driven out
// of the caches: whoever has something to do before it writes asks for all of them first.
template <typename E>
REPRISE_VEC_INLINE void fetch_slot(int64_t head, int32_t slot, int64_t kv_heads, int64_t dim,
                                   int64_t block_size, E* k_cache) {
  constexpr int64_t n = kWordElements<E>;
  const int64_t block = slot / block_size, offset = slot % block_size;
  E* k_block = k_cache + (block * kv_heads + head) * head_elements<E>(dim, block_size) + offset * n;
  for (int64_t d = 0; d < dim; d += n) __builtin_prefetch(k_block + d * block_size, 1);
}

// k and v of one head [dim] into their slot, which is not in block 0. Another worker may be writing the other
// keys of V's words.
template <typename E>
REPRISE_VEC_INLINE void write_slot(const E* k, const E* v, int64_t head, int32_t slot, int64_t kv_heads,
                                   int64_t dim, int64_t block_size, E* k_cache, E* v_cache) {
  constexpr int64_t n = kWordElements<E>;
  const int64_t block = slot / block_size, offset = slot % block_size;
  const int64_t start = (block * kv_heads + head) * head_elements<E>(dim, block_size);
  E* k_block = k_cache + start + offset * n;
  for (int64_t d = 0; d < dim / n * n; d += n) std::memcpy(k_block + d * block_size, k + d, sizeof(float));
  if (dim % n != 0) {
    const E last[n] = {k[dim - 1]};
    std::memcpy(k_block + (dim - 1) * block_size, last, sizeof(float));
  }
  E* v_block = v_cache + start + offset / n * n * dim + offset % n;
  for (int64_t d = 0; d < dim; ++d) v_block[d * n] = v[d];
}

template <typename E>
void kv_write(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<KvWriteScalars>();
  const int32_t* slots = context.buffer<int32_t>(2);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t head = item / context.sizes.tokens, token = item % context.sizes.tokens;
    if (slots[token] < scalars.block_size) continue;
    fetch_slot(head, slots[token], scalars.kv_heads, scalars.head_dim, scalars.block_size,
               context.buffer<E>(3));
    write_slot(context.buffer<E>(0) + token * scalars.k_stride + head * scalars.head_dim,
               context.buffer<E>(1) + token * scalars.v_stride + head * scalars.head_dim, head, slots[token],
               scalars.kv_heads, scalars.head_dim, scalars.block_size, context.buffer<E>(3),
               context.buffer<E>(4));
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

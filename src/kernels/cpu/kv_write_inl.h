// Body of kv_write.h. Consecutive items are tokens of one head, so that the columns of a K block fill up in
// cache.
#pragma once

#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

template <typename E>
void kv_write(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<KvWriteScalars>();
  const int64_t dim = scalars.head_dim, block_size = scalars.block_size;
  const int32_t* slots = context.buffer<int32_t>(2);
  for (int64_t item = begin; item < end; ++item) {
    const int64_t head = item / context.sizes.tokens, token = item % context.sizes.tokens;
    const int64_t block = slots[token] / block_size, offset = slots[token] % block_size;
    if (block <= 0) continue;
    const int64_t start = (block * scalars.kv_heads + head) * dim * block_size;
    const E* k = context.buffer<E>(0) + token * scalars.k_stride + head * dim;
    const E* v = context.buffer<E>(1) + token * scalars.v_stride + head * dim;
    E* k_block = context.buffer<E>(3) + start + offset;
    // Each element goes to a cache line of its own, which a step's weights have driven out of the caches: all
    // are asked for before the first is waited for.
    for (int64_t d = 0; d < dim; ++d) __builtin_prefetch(k_block + d * block_size, 1);
    for (int64_t d = 0; d < dim; ++d) k_block[d * block_size] = k[d];
    std::memcpy(context.buffer<E>(4) + start + offset * dim, v, static_cast<size_t>(dim) * sizeof(E));
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Implementation of the kernels that gather.h declares (buffers, items and scalars are listed there).
// Compiled once for each level of the ISA.
#pragma once

#include "kernels/cpu/gather.h"
#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

template <typename E>
void gather_rows(const KernelContext& context, int64_t begin, int64_t end) {
  const int64_t dim = context.get_scalars<GatherScalars>().dim;
  const int32_t* rows = context.buffer<int32_t>(1);
  for (int64_t i = begin; i < end; ++i)
    std::memcpy(context.buffer<E>(2) + i * dim, context.buffer<E>(0) + rows[i] * dim,
                static_cast<size_t>(dim) * sizeof(E));
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Implementation of the kernels that norm.h declares (buffers, items and scalars are listed there). Compiled
// once for each level of the ISA.
#pragma once

#include "kernels/cpu/norm.h"
#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

REPRISE_VEC_INLINE float rsqrt_of(float x) {
  return 1.0f / __builtin_sqrtf(x);
}

template <typename E>
REPRISE_VEC_INLINE void rms_norm_row(const E* x, const float* weight, E* y, const NormScalars& scalars) {
  Vec squares = zero();
  for (int64_t i = 0; i < scalars.dim; i += kLanes) {
    const Vec v = load_upto(x + i, scalars.dim - i);
    squares = fma(v, v, squares);
  }
  const float mean = reduce_add(squares) / static_cast<float>(scalars.dim);
  const Vec scale = set1(rsqrt_of(mean + scalars.eps));
  for (int64_t i = 0; i < scalars.dim; i += kLanes) {
    const int64_t left = scalars.dim - i;
    const Vec normed = round_to<E>(load_upto(x + i, left) * scale);
    store_upto(y + i, normed * load_upto(weight + i, left), left);
  }
}

template <typename E>
void rms_norm(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<NormScalars>();
  const E* x = context.buffer<E>(0);
  E* y = context.buffer<E>(2);
  for (int64_t row = begin; row < end; ++row)
    rms_norm_row(x + row * scalars.dim, context.buffer<float>(1), y + row * scalars.dim, scalars);
}

template <typename E>
void add_rms_norm(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<NormScalars>();
  for (int64_t row = begin; row < end; ++row) {
    const int64_t start = row * scalars.dim;
    const E* x = context.buffer<E>(0) + start;
    const E* residual = context.buffer<E>(1) + start;
    E* sum = context.buffer<E>(3) + start;
    for (int64_t i = 0; i < scalars.dim; i += kLanes) {
      const int64_t left = scalars.dim - i;
      store_upto(sum + i, load_upto(x + i, left) + load_upto(residual + i, left), left);
    }
    rms_norm_row<E>(sum, context.buffer<float>(2), context.buffer<E>(4) + start, scalars);
  }
}

template <typename E>
void layer_norm(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<NormScalars>();
  const float* weight = context.buffer<float>(1);
  const float* bias = context.buffer<float>(2);
  const float count = static_cast<float>(scalars.dim);
  for (int64_t row = begin; row < end; ++row) {
    const E* x = context.buffer<E>(0) + row * scalars.dim;
    E* y = context.buffer<E>(3) + row * scalars.dim;
    Vec sum = zero();
    for (int64_t i = 0; i < scalars.dim; i += kLanes) sum = sum + load_upto(x + i, scalars.dim - i);
    const Vec mean = set1(reduce_add(sum) / count);
    Vec squares = zero();
    for (int64_t i = 0; i < scalars.dim; i += kLanes) {
      const int64_t left = scalars.dim - i;
      const Vec v = select(lanes_between(0, left), load_upto(x + i, left) - mean, zero());
      squares = fma(v, v, squares);
    }
    const Vec scale = set1(rsqrt_of(reduce_add(squares) / count + scalars.eps));
    for (int64_t i = 0; i < scalars.dim; i += kLanes) {
      const int64_t left = scalars.dim - i;
      Vec v = (load_upto(x + i, left) - mean) * scale * load_upto(weight + i, left);
      if (bias != nullptr) v = v + load_upto(bias + i, left);
      store_upto(y + i, v, left);
    }
  }
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Implementation of the kernels that rotary.h declares (buffers, items and scalars are listed there).
// Compiled once for each level of the ISA.
#pragma once

#include <type_traits>

#include "kernels/cpu/math64_inl.h"
#include "kernels/cpu/math_inl.h"
#include "kernels/cpu/rotary.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// base ** exponent as torch has it in f32, rounded once.
REPRISE_VEC_INLINE float pow_f32(float base, float exponent) {
  return static_cast<float>(exp64(static_cast<double>(exponent) * log64(static_cast<double>(base))));
}

// _compute_dynamic_ntk_parameters, in f32 because the length is a tensor there.
REPRISE_VEC_INLINE float dynamic_base(const RotaryAnglesScalars& scalars, int64_t length) {
  const float dim = static_cast<float>(2 * scalars.half);
  const float stretched = static_cast<float>(scalars.factor) * static_cast<float>(length) /
                              static_cast<float>(scalars.original_max_position) -
                          static_cast<float>(scalars.factor - 1.0);
  const double exponent = static_cast<double>(dim) / (static_cast<double>(dim) - 2.0);
  return static_cast<float>(scalars.base) * pow_f32(stretched, static_cast<float>(exponent));
}

static void rotary_angles(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<RotaryAnglesScalars>();
  const int32_t* positions = context.buffer<int32_t>(0);
  const int32_t* lengths = context.buffer<int32_t>(1);
  const float* inv_freq = context.buffer<float>(2);
  const int64_t half = scalars.half;
  for (int64_t token = begin; token < end; ++token) {
    const float position = static_cast<float>(positions[token]);
    float* cos_row = context.buffer<float>(3) + token * half;
    float* sin_row = context.buffer<float>(4) + token * half;
    const bool stretched = scalars.dynamic && lengths[token] > scalars.original_max_position;
    const float base = stretched ? dynamic_base(scalars, lengths[token]) : 0.0f;
    for (int64_t i = 0; i < half; ++i) {
      float frequency = inv_freq[i];
      if (stretched) {
        const float exponent = static_cast<float>(2 * i) / static_cast<float>(2 * half);
        frequency = 1.0f / pow_f32(base, exponent);
      }
      double sin, cos;
      sincos64(static_cast<double>(position * frequency), &sin, &cos);
      cos_row[i] = static_cast<float>(cos) * scalars.attention_scaling;
      sin_row[i] = static_cast<float>(sin) * scalars.attention_scaling;
    }
    if (!scalars.round_bf16) continue;
    for (int64_t i = 0; i < half; i += kLanes) {
      store_upto(cos_row + i, round_bf16(load_upto(cos_row + i, half - i)), half - i);
      store_upto(sin_row + i, round_bf16(load_upto(sin_row + i, half - i)), half - i);
    }
  }
}

// One head whose pairs lie as two runs of `half` elements, a and b; y likewise.
template <typename E, bool kRound>
REPRISE_VEC_INLINE void rotate_runs(const E* a, const E* b, const float* cos, const float* sin, E* y_a,
                                    E* y_b, int64_t half) {
  using Product = std::conditional_t<kRound, E, float>;
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t left = half - i;
    const Vec va = load_upto(a + i, left), vb = load_upto(b + i, left);
    const Vec c = load_upto(cos + i, left), s = load_upto(sin + i, left);
    store_upto(y_a + i, round_to<Product>(va * c) + round_to<Product>(negate(vb) * s), left);
    store_upto(y_b + i, round_to<Product>(vb * c) + round_to<Product>(va * s), left);
  }
}

// One head whose pairs lie side by side; y may be x.
template <typename E, bool kRound>
REPRISE_VEC_INLINE void rotate_pairs(const E* x, const float* cos, const float* sin, E* y, int64_t half) {
  using Product = std::conditional_t<kRound, E, float>;
  for (int64_t i = 0; i < half; i += kLanes / 2) {
    const int64_t left = half - i;
    const Vec pairs = load_upto(x + 2 * i, 2 * left);
    const Vec c = double_lanes(load_upto(cos + i, left)), s = double_lanes(load_upto(sin + i, left));
    store_upto(y + 2 * i,
               round_to<Product>(pairs * c) + round_to<Product>(negate_even(swap_pairs(pairs)) * s),
               2 * left);
  }
}

// x and y: one head, y may be x. cos and sin: the token's rows.
template <typename E, bool kRound>
REPRISE_VEC_INLINE void rotate_head(const E* x, const float* cos, const float* sin, E* y, int64_t head_dim,
                                    int64_t rot_dim, bool interleaved) {
  const int64_t half = rot_dim / 2;
  if (interleaved)
    rotate_pairs<E, kRound>(x, cos, sin, y, half);
  else
    rotate_runs<E, kRound>(x, x + half, cos, sin, y, y + half, half);
  if (x != y && rot_dim < head_dim)
    std::memcpy(y + rot_dim, x + rot_dim, static_cast<size_t>(head_dim - rot_dim) * sizeof(E));
}

template <typename E, bool kRound>
REPRISE_VEC_INLINE void rotate_heads(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<RotaryScalars>();
  const int64_t half = scalars.rot_dim / 2;
  for (int64_t item = begin; item < end; ++item) {
    const int64_t token = item / scalars.heads, head = item % scalars.heads;
    rotate_head<E, kRound>(context.buffer<E>(0) + token * scalars.x_stride + head * scalars.head_dim,
                           context.buffer<float>(1) + token * half, context.buffer<float>(2) + token * half,
                           context.buffer<E>(3) + token * scalars.y_stride + head * scalars.head_dim,
                           scalars.head_dim, scalars.rot_dim, scalars.interleaved);
  }
}

template <typename E>
void rotary(const KernelContext& context, int64_t begin, int64_t end) {
  if (context.get_scalars<RotaryScalars>().round_products)
    rotate_heads<E, true>(context, begin, end);
  else
    rotate_heads<E, false>(context, begin, end);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// vec.h without vector instructions: it runs on every machine, and is the reference for what each lane
// computes.
#pragma once

#include <xmmintrin.h>

#include <bit>
#include <cmath>
#include <cstdint>

// Left to the compiler: forced, sixteen lanes everywhere take three times as long to compile and run no
// faster.
#define REPRISE_VEC_INLINE static inline

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int64_t kLanes = 16;

struct Vec {
  float lane[kLanes];
};

struct Mask {
  bool lane[kLanes];
};

#define REPRISE_LANES(expression)                                     \
  Vec result;                                                         \
  for (int64_t i = 0; i < kLanes; ++i) result.lane[i] = (expression); \
  return result

REPRISE_VEC_INLINE float round_lane(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if (x != x) return std::bit_cast<float>((bits | 0x400000u) & 0xffff0000u);
  return std::bit_cast<float>((bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u);
}

REPRISE_VEC_INLINE Vec set1(float x) {
  REPRISE_LANES(x);
}
REPRISE_VEC_INLINE Vec zero() {
  return set1(0.0f);
}
REPRISE_VEC_INLINE Vec load(const float* from) {
  REPRISE_LANES(from[i]);
}
REPRISE_VEC_INLINE Vec load(const uint16_t* from) {
  REPRISE_LANES(std::bit_cast<float>(static_cast<uint32_t>(from[i]) << 16));
}
// A word's two bf16, widened: the one in the lower half, the one in the upper.
REPRISE_VEC_INLINE Vec low_bf16(Vec words) {
  REPRISE_LANES(std::bit_cast<float>(std::bit_cast<uint32_t>(words.lane[i]) << 16));
}
REPRISE_VEC_INLINE Vec high_bf16(Vec words) {
  REPRISE_LANES(std::bit_cast<float>(std::bit_cast<uint32_t>(words.lane[i]) & 0xffff0000u));
}
REPRISE_VEC_INLINE void store(float* to, Vec x) {
  for (int64_t i = 0; i < kLanes; ++i) to[i] = x.lane[i];
}
REPRISE_VEC_INLINE void store(uint16_t* to, Vec x) {
  for (int64_t i = 0; i < kLanes; ++i)
    to[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(round_lane(x.lane[i])) >> 16);
}
REPRISE_VEC_INLINE Vec round_bf16(Vec x) {
  REPRISE_LANES(round_lane(x.lane[i]));
}

REPRISE_VEC_INLINE Vec operator+(Vec a, Vec b) {
  REPRISE_LANES(a.lane[i] + b.lane[i]);
}
REPRISE_VEC_INLINE Vec operator-(Vec a, Vec b) {
  REPRISE_LANES(a.lane[i] - b.lane[i]);
}
REPRISE_VEC_INLINE Vec operator*(Vec a, Vec b) {
  REPRISE_LANES(a.lane[i] * b.lane[i]);
}
REPRISE_VEC_INLINE Vec operator/(Vec a, Vec b) {
  REPRISE_LANES(a.lane[i] / b.lane[i]);
}
// a * b + c, rounded once
REPRISE_VEC_INLINE Vec fma(Vec a, Vec b, Vec c) {
  REPRISE_LANES(__builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]));
}
// The larger; b where they are equal or one is NaN, as the instructions have it, which give 0 for a denormal. By
// name, since a compiler may make another choice of a < b ? a : b, which keeps the denormal (clang does).
REPRISE_VEC_INLINE float max_lane(float a, float b) {
  return _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(a), _mm_set_ss(b)));
}
REPRISE_VEC_INLINE Vec max(Vec a, Vec b) {
  Vec result;
  for (int64_t i = 0; i < kLanes; i += 4)
    _mm_storeu_ps(result.lane + i, _mm_max_ps(_mm_loadu_ps(a.lane + i), _mm_loadu_ps(b.lane + i)));
  return result;
}
REPRISE_VEC_INLINE Vec min(Vec a, Vec b) {
  Vec result;
  for (int64_t i = 0; i < kLanes; i += 4)
    _mm_storeu_ps(result.lane + i, _mm_min_ps(_mm_loadu_ps(a.lane + i), _mm_loadu_ps(b.lane + i)));
  return result;
}
REPRISE_VEC_INLINE Vec sqrt(Vec a) {
  REPRISE_LANES(__builtin_sqrtf(a.lane[i]));
}
REPRISE_VEC_INLINE Vec negate(Vec a) {
  REPRISE_LANES(-a.lane[i]);
}
REPRISE_VEC_INLINE Vec abs(Vec a) {
  REPRISE_LANES(__builtin_fabsf(a.lane[i]));
}
REPRISE_VEC_INLINE Vec copysign(Vec size, Vec sign) {
  REPRISE_LANES(__builtin_copysignf(size.lane[i], sign.lane[i]));
}

// 2^n from the bits of t = n + 1.5 * 2^23, -126 <= n <= 127.
REPRISE_VEC_INLINE Vec pow2_of_shifted(Vec t) {
  REPRISE_LANES(std::bit_cast<float>((std::bit_cast<uint32_t>(t.lane[i]) + 127u) << 23));
}

REPRISE_VEC_INLINE Mask less(Vec a, Vec b) {
  Mask mask;
  for (int64_t i = 0; i < kLanes; ++i) mask.lane[i] = a.lane[i] < b.lane[i];
  return mask;
}
// Lanes i with from <= i < to.
REPRISE_VEC_INLINE Mask lanes_between(int64_t from, int64_t to) {
  Mask mask;
  for (int64_t i = 0; i < kLanes; ++i) mask.lane[i] = i >= from && i < to;
  return mask;
}
REPRISE_VEC_INLINE Vec select(Mask mask, Vec a, Vec b) {
  REPRISE_LANES(mask.lane[i] ? a.lane[i] : b.lane[i]);
}

// The tree of every level: lane i with i + 8, then + 4, + 2, + 1.
REPRISE_VEC_INLINE float reduce_add(Vec a) {
  for (int64_t step = kLanes / 2; step > 0; step /= 2)
    for (int64_t i = 0; i < step; ++i) a.lane[i] = a.lane[i] + a.lane[i + step];
  return a.lane[0];
}
REPRISE_VEC_INLINE float reduce_max(Vec a) {
  for (int64_t step = kLanes / 2; step > 0; step /= 2)
    for (int64_t i = 0; i < step; ++i) a.lane[i] = max_lane(a.lane[i], a.lane[i + step]);
  return a.lane[0];
}
// Lanes 2i and 2i + 1 exchanged.
REPRISE_VEC_INLINE Vec swap_pairs(Vec a) {
  REPRISE_LANES(a.lane[i ^ 1]);
}
REPRISE_VEC_INLINE Vec negate_even(Vec a) {
  REPRISE_LANES(i % 2 == 0 ? -a.lane[i] : a.lane[i]);
}
// Lane i of the first eight to the lanes 2i and 2i + 1.
REPRISE_VEC_INLINE Vec double_lanes(Vec a) {
  REPRISE_LANES(a.lane[i / 2]);
}
REPRISE_VEC_INLINE float first_lane(Vec a) {
  return a.lane[0];
}

#undef REPRISE_LANES

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

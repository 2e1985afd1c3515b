// vec.h as two ymm registers, for AVX2 with FMA.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define REPRISE_VEC_INLINE static inline __attribute__((always_inline))

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int64_t kLanes = 16;

struct Vec {
  __m256 low, high;
};

struct Mask {
  __m256 low, high;
};

REPRISE_VEC_INLINE Vec set1(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
REPRISE_VEC_INLINE Vec zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
REPRISE_VEC_INLINE Vec load(const float* from) {
  return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
}
REPRISE_VEC_INLINE __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
REPRISE_VEC_INLINE Vec load(const uint16_t* from) {
  return {widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))),
          widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 8)))};
}
REPRISE_VEC_INLINE Vec low_bf16(Vec words) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words.low), 16)),
          _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words.high), 16))};
}
REPRISE_VEC_INLINE Vec high_bf16(Vec words) {
  const __m256 keep = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xffff0000u)));
  return {_mm256_and_ps(words.low, keep), _mm256_and_ps(words.high, keep)};
}
REPRISE_VEC_INLINE __m256i round_half(__m256 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}
REPRISE_VEC_INLINE void store(float* to, Vec x) {
  _mm256_storeu_ps(to, x.low);
  _mm256_storeu_ps(to + 8, x.high);
}
REPRISE_VEC_INLINE void store(uint16_t* to, Vec x) {
  const __m256i low = _mm256_srli_epi32(round_half(x.low), 16);
  const __m256i high = _mm256_srli_epi32(round_half(x.high), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packed);
}
REPRISE_VEC_INLINE Vec round_bf16(Vec x) {
  const __m256i keep = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm256_castsi256_ps(_mm256_and_si256(round_half(x.low), keep)),
          _mm256_castsi256_ps(_mm256_and_si256(round_half(x.high), keep))};
}

// The first n of 16 elements, as load_first() and store_first() of vec.h have it.
REPRISE_VEC_INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
REPRISE_VEC_INLINE Vec load_first(const float* from, int64_t n) {
  return {_mm256_maskload_ps(from, first_lanes(n)), _mm256_maskload_ps(from + 8, first_lanes(n - 8))};
}
REPRISE_VEC_INLINE void store_first(float* to, Vec x, int64_t n) {
  _mm256_maskstore_ps(to, first_lanes(n), x.low);
  _mm256_maskstore_ps(to + 8, first_lanes(n - 8), x.high);
}

REPRISE_VEC_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
REPRISE_VEC_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
REPRISE_VEC_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}
REPRISE_VEC_INLINE Vec negate(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
REPRISE_VEC_INLINE Vec abs(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
REPRISE_VEC_INLINE Vec copysign(Vec size, Vec sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(bit, size.low), _mm256_and_ps(bit, sign.low)),
          _mm256_or_ps(_mm256_andnot_ps(bit, size.high), _mm256_and_ps(bit, sign.high))};
}

REPRISE_VEC_INLINE __m256 pow2_half(__m256 t) {
  return _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(127)), 23));
}
REPRISE_VEC_INLINE Vec pow2_of_shifted(Vec t) {
  return {pow2_half(t.low), pow2_half(t.high)};
}

REPRISE_VEC_INLINE Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
REPRISE_VEC_INLINE Mask lanes_between(int64_t from, int64_t to) {
  const __m256i first = _mm256_set1_epi32(static_cast<int>(from) - 1);
  const __m256i last = _mm256_set1_epi32(static_cast<int>(to));
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
  return {
      _mm256_castsi256_ps(_mm256_and_si256(_mm256_cmpgt_epi32(low, first), _mm256_cmpgt_epi32(last, low))),
      _mm256_castsi256_ps(_mm256_and_si256(_mm256_cmpgt_epi32(high, first), _mm256_cmpgt_epi32(last, high)))};
}
REPRISE_VEC_INLINE Vec select(Mask mask, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.low, a.low, mask.low), _mm256_blendv_ps(b.high, a.high, mask.high)};
}

REPRISE_VEC_INLINE float reduce_add(Vec a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
REPRISE_VEC_INLINE float reduce_max(Vec a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
// Lanes 2i and 2i + 1 exchanged.
REPRISE_VEC_INLINE Vec swap_pairs(Vec a) {
  return {_mm256_permute_ps(a.low, 0xb1), _mm256_permute_ps(a.high, 0xb1)};
}
REPRISE_VEC_INLINE Vec negate_even(Vec a) {
  const __m256 sign = _mm256_castsi256_ps(_mm256_set1_epi64x(int64_t{0x80000000}));
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
// Lane i of the first eight to the lanes 2i and 2i + 1.
REPRISE_VEC_INLINE Vec double_lanes(Vec a) {
  return {_mm256_permutevar8x32_ps(a.low, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
          _mm256_permutevar8x32_ps(a.low, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
}
REPRISE_VEC_INLINE float first_lane(Vec a) {
  return _mm256_cvtss_f32(a.low);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// vec.h as one zmm register. Tests compile this a second time against SIMDe's emulation, included before this
// file, so that its logic is checked on machines without AVX-512.
#pragma once

#if !defined(SIMDE_X86_AVX512_H)
#include <immintrin.h>
#endif

#include <cstdint>

#define REPRISE_VEC_INLINE static inline __attribute__((always_inline))

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int64_t kLanes = 16;

struct Vec {
  __m512 v;
};

struct Mask {
  __mmask16 bits;
};

REPRISE_VEC_INLINE Vec set1(float x) {
  return {_mm512_set1_ps(x)};
}
REPRISE_VEC_INLINE Vec zero() {
  return {_mm512_setzero_ps()};
}
REPRISE_VEC_INLINE Vec load(const float* from) {
  return {_mm512_loadu_ps(from)};
}
REPRISE_VEC_INLINE Vec widened(__m256i bf16) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16))};
}
REPRISE_VEC_INLINE Vec load(const uint16_t* from) {
  return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
// A word's two bf16, widened: the one in the lower half, the one in the upper.
REPRISE_VEC_INLINE Vec low_bf16(Vec words) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(words.v), 16))};
}
REPRISE_VEC_INLINE Vec high_bf16(Vec words) {
  const __m512i keep = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words.v), keep))};
}
// To bf16, to nearest even. No result of arithmetic is denormal here, so the instruction, which flushes
// those, rounds to the same bits.
#if REPRISE_VEC_LEVEL >= 3
REPRISE_VEC_INLINE __m256i bf16_bits(Vec x) {
  return (__m256i)_mm512_cvtneps_pbh(x.v);
}
#else
REPRISE_VEC_INLINE __m256i bf16_bits(Vec x) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i either = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q), quiet);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(either, 16));
}
#endif
REPRISE_VEC_INLINE Vec round_bf16(Vec x) {
  return widened(bf16_bits(x));
}
REPRISE_VEC_INLINE void store(float* to, Vec x) {
  _mm512_storeu_ps(to, x.v);
}
REPRISE_VEC_INLINE void store(uint16_t* to, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bf16_bits(x));
}
// The first n of 16 elements, as load_first() and store_first() of vec.h have it.
REPRISE_VEC_INLINE __mmask16 first_lanes(int64_t n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}
REPRISE_VEC_INLINE Vec load_first(const float* from, int64_t n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), from)};
}
REPRISE_VEC_INLINE void store_first(float* to, Vec x, int64_t n) {
  _mm512_mask_storeu_ps(to, first_lanes(n), x.v);
}
REPRISE_VEC_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
REPRISE_VEC_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
REPRISE_VEC_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
REPRISE_VEC_INLINE __m512i sign_bit() {
  return _mm512_set1_epi32(static_cast<int>(0x80000000u));
}
REPRISE_VEC_INLINE Vec negate(Vec a) {
  return {_mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a.v), sign_bit()))};
}
REPRISE_VEC_INLINE Vec abs(Vec a) {
  return {_mm512_castsi512_ps(_mm512_andnot_si512(sign_bit(), _mm512_castps_si512(a.v)))};
}
REPRISE_VEC_INLINE Vec copysign(Vec size, Vec sign) {
  return {_mm512_castsi512_ps(_mm512_or_si512(_mm512_andnot_si512(sign_bit(), _mm512_castps_si512(size.v)),
                                              _mm512_and_si512(sign_bit(), _mm512_castps_si512(sign.v))))};
}

REPRISE_VEC_INLINE Vec pow2_of_shifted(Vec t) {
  const __m512i shifted = _mm512_add_epi32(_mm512_castps_si512(t.v), _mm512_set1_epi32(127));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(shifted, 23))};
}

REPRISE_VEC_INLINE Mask less(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
REPRISE_VEC_INLINE uint32_t lanes_below(int64_t count) {
  return count <= 0 ? 0u : count >= kLanes ? 0xffffu : (1u << count) - 1u;
}
REPRISE_VEC_INLINE Mask lanes_between(int64_t from, int64_t to) {
  return {static_cast<__mmask16>(lanes_below(to) & ~lanes_below(from))};
}
REPRISE_VEC_INLINE Vec select(Mask mask, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(mask.bits, b.v, a.v)};
}

REPRISE_VEC_INLINE __m256 upper_half(__m512 a) {
  return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
}
REPRISE_VEC_INLINE float reduce_add(Vec a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), upper_half(a.v));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
REPRISE_VEC_INLINE float reduce_max(Vec a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), upper_half(a.v));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
}
// Lanes 2i and 2i + 1 exchanged.
REPRISE_VEC_INLINE Vec swap_pairs(Vec a) {
  return {_mm512_castsi512_ps(_mm512_rol_epi64(_mm512_castps_si512(a.v), 32))};
}
REPRISE_VEC_INLINE Vec negate_even(Vec a) {
  return {_mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a.v), _mm512_set1_epi64(int64_t{0x80000000})))};
}
// Lane i of the first eight to the lanes 2i and 2i + 1.
REPRISE_VEC_INLINE Vec double_lanes(Vec a) {
  return {_mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), a.v)};
}
REPRISE_VEC_INLINE float first_lane(Vec a) {
  return _mm_cvtss_f32(_mm512_castps512_ps128(a.v));
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// AVX-512 by SIMDe under the names of the instructions, for the *_emulated.cc files. Included before any
// header that uses them.
#pragma once

#include <bit>
#include <cstdint>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// SIMDe lacks some of these before 0.8 (Debian 12), more of them before 0.7.4 (Ubuntu 24.04); one body serves
// all.
static inline simde__m512i widen_words(simde__m256i words) {
  uint16_t from[16];
  uint32_t to[16];
  __builtin_memcpy(from, &words, sizeof(from));
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
static inline simde__m256i narrow_words(simde__m512i lanes) {
  uint32_t from[16];
  uint16_t to[16];
  __builtin_memcpy(from, &lanes, sizeof(from));
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint16_t>(from[i]);
  simde__m256i result;
  __builtin_memcpy(&result, to, sizeof(to));
  return result;
}
static inline simde__m512 load_masked(simde__mmask16 mask, const float* from) {
  float lanes[16] = {};
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) lanes[i] = from[i];
  return simde_mm512_loadu_ps(lanes);
}
static inline void store_masked(float* to, simde__mmask16 mask, simde__m512 x) {
  float lanes[16];
  simde_mm512_storeu_ps(lanes, x);
  for (int i = 0; i < 16; ++i)
    if ((mask >> i & 1) != 0) to[i] = lanes[i];
}
// vcvtneps2bf16: to nearest even, a NaN stays one and turns quiet, denormals go to zero.
static inline simde__m256i round_words(simde__m512 x) {
  uint32_t from[16];
  uint16_t to[16];
  __builtin_memcpy(from, &x, sizeof(from));
  for (int i = 0; i < 16; ++i) {
    const uint32_t size = from[i] & 0x7fffffffu, upper = from[i] >> 16;
    to[i] = static_cast<uint16_t>(size > 0x7f800000u   ? upper | 0x40u
                                  : size < 0x00800000u ? upper & 0x8000u
                                                       : (from[i] + 0x7fffu + (upper & 1u)) >> 16);
  }
  simde__m256i result;
  __builtin_memcpy(&result, to, sizeof(to));
  return result;
}
template <typename Halves>
static inline simde__m512 dot_pairs(simde__m512 sum, Halves x, Halves y) {
  uint32_t a[16], b[16];  // a pair each: the lower half is the first
  float sums[16];
  __builtin_memcpy(a, &x, sizeof(a));
  __builtin_memcpy(b, &y, sizeof(b));
  __builtin_memcpy(sums, &sum, sizeof(sums));
  const auto lower = [](uint32_t pair) { return std::bit_cast<float>(pair << 16); };
  const auto upper = [](uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); };
  for (int i = 0; i < 16; ++i) sums[i] += lower(a[i]) * lower(b[i]) + upper(a[i]) * upper(b[i]);
  return simde_mm512_loadu_ps(sums);
}
#undef _mm512_maskz_loadu_ps
#undef _mm512_mask_storeu_ps
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi32_epi16
#undef _mm512_cvtneps_pbh
#undef _mm512_dpbf16_ps
#undef _mm512_setzero_ps
#define _mm512_maskz_loadu_ps load_masked
#define _mm512_mask_storeu_ps store_masked
#define _mm512_cvtepu16_epi32 widen_words
#define _mm512_cvtepi32_epi16 narrow_words
#define _mm512_cvtneps_pbh round_words
#define _mm512_dpbf16_ps dot_pairs
#define _mm512_setzero_ps simde_mm512_setzero_ps

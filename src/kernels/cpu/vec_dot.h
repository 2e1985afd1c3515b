// What level avx512_bf16 adds to vec.h. Tests emulate it (tests/kernels/vec_emulated.cc).
#pragma once

#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// sum + the products of the two bf16 of each word of a with those of b.
REPRISE_VEC_INLINE Vec dot(Vec a, Vec b, Vec sum) {
  return {_mm512_dpbf16_ps(sum.v, (__m512bh)a.v, (__m512bh)b.v)};
}

// Stores x rounded to bf16, to nearest even, and returns what was stored. x holds no NaN.
REPRISE_VEC_INLINE Vec store_rounded(uint16_t* to, Vec x) {
  const auto rounded = (__m256i)_mm512_cvtneps_pbh(x.v);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16))};
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

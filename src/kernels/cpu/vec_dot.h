// What level avx512_bf16 adds to vec.h.
#pragma once

#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// sum + the products of the two bf16 of each word of a with those of b.
REPRISE_VEC_INLINE Vec dot(Vec a, Vec b, Vec sum) {
  return {_mm512_dpbf16_ps(sum.v, (__m512bh)a.v, (__m512bh)b.v)};
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

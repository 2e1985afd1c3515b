// The functions of loop/functions.h on the vectors of this level.
#pragma once

#include "kernels/cpu/vec.h"
#include "loop/functions.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

REPRISE_VEC_INLINE Vec like(Vec, float number) {
  return set1(number);
}
REPRISE_VEC_INLINE Vec select_less(Vec a, Vec b, Vec c, Vec d) {
  return select(less(a, b), c, d);
}

using loop::functions::erf;
using loop::functions::exp;
using loop::functions::exp_nonpositive;
using loop::functions::tanh;

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Sixteen lanes of f32, the one vector type that the normalising, elementwise and attention kernels are
// written in. A level of the ISA gives it a body (vec_scalar.h: an array, vec_avx2.h: two ymm, vec_avx512.h:
// one zmm) and the same source is compiled once a level, each into its own namespace REPRISE_VEC_NAMESPACE.
// Each operation below is exact or correctly rounded and reductions have one tree, so that every level gives
// the same bits.
//
// Included only by the vec_<level>.cc files, after they have defined REPRISE_VEC_NAMESPACE and
// REPRISE_VEC_LEVEL (0: scalar, 1: AVX2 with FMA, 2: AVX-512, 3: with its bf16, see vec_dot.h). Nothing here
// or in the *_inl.h files may be an inline function outside of that namespace: the linker would keep one copy
// of it, maybe the one for a newer machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if REPRISE_VEC_LEVEL >= 2
#include "kernels/cpu/vec_avx512.h"
#elif REPRISE_VEC_LEVEL == 1
#include "kernels/cpu/vec_avx2.h"
#else
#include "kernels/cpu/vec_scalar.h"
#endif

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// Elements in memory: float, or uint16_t for the bits of a bf16. load() widens; store() rounds to nearest
// even.
using Bf16 = uint16_t;

// Rounds to what an element of type E can hold, and stays f32.
template <typename E>
REPRISE_VEC_INLINE Vec round_to(Vec x) {
  if constexpr (sizeof(E) == 2) return round_bf16(x);
  return x;
}

// The first n of 16 elements, 0 < n < 16; the lanes beyond are 0 and their memory is not touched. Levels with
// masks have their own for f32.
template <typename E>
REPRISE_VEC_INLINE Vec load_first(const E* from, int64_t n) {
  E lanes[kLanes] = {};
  std::memcpy(lanes, from, static_cast<size_t>(n) * sizeof(E));
  return load(lanes);
}

template <typename E>
REPRISE_VEC_INLINE void store_first(E* to, Vec x, int64_t n) {
  E lanes[kLanes];
  store(lanes, x);
  std::memcpy(to, lanes, static_cast<size_t>(n) * sizeof(E));
}

template <typename E>
REPRISE_VEC_INLINE Vec load_upto(const E* from, int64_t n) {
  return n >= kLanes ? load(from) : load_first(from, n);
}

template <typename E>
REPRISE_VEC_INLINE void store_upto(E* to, Vec x, int64_t n) {
  if (n >= kLanes)
    store(to, x);
  else
    store_first(to, x, n);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

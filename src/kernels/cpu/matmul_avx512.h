// The vectors of the avx512 level; the file that includes this has included the intrinsics, or (in tests) an
// emulation of them under the same names.
#pragma once

#include "kernels/cpu/matmul_fma.h"

namespace reprise::kernels::cpu {
namespace {

struct Avx512 {
  using Reg = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kRows = 8;         // of a float group: 8 x 32 columns, 16 of 32 registers hold sums
  static constexpr int kBf16Rows = 12;    // of a bf16 group
  static constexpr int kWideRows = 12;    // of a bf16 group with all 32 columns
  static constexpr int kRowPanels = 4;    // that one row is multiplied by at a time
  static constexpr int64_t kBlock = 256;  // k of a block of several groups

  // Bytes that a bf16 group alone fetches ahead (Zen 4: few rows are read best by the CPU's own prefetcher).
  static constexpr int64_t fetch_ahead(int rows) { return rows <= 4 ? 0 : 4096; }

  static REPRISE_INLINE Reg zero() { return _mm512_setzero_ps(); }
  static REPRISE_INLINE Reg load(const float* from) { return _mm512_loadu_ps(from); }
  static REPRISE_INLINE void store(float* to, Reg value) { _mm512_storeu_ps(to, value); }
  static REPRISE_INLINE Reg broadcast(const float* from) { return _mm512_set1_ps(*from); }
  template <int>
  static REPRISE_INLINE Reg fma(Reg a, Reg b, Reg c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  static REPRISE_INLINE Reg widen(const uint16_t* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  // Sixteen pairs of bf16: the values of even k, and those of odd k.
  static REPRISE_INLINE Reg widen_even(const unsigned char* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(from), 16));
  }
  template <int>
  static REPRISE_INLINE Reg widen_odd(const unsigned char* from) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_loadu_si512(from), _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
};

}  // namespace
}  // namespace reprise::kernels::cpu

// The avx2 level of the matmul. Compiled with -mavx2 -mfma.
#include <immintrin.h>

#include "kernels/cpu/matmul_fma.h"

namespace reprise::kernels::cpu {
namespace {

alignas(32) constexpr uint32_t kOddMask[8] = {0xffff0000u, 0xffff0000u, 0xffff0000u, 0xffff0000u,
                                              0xffff0000u, 0xffff0000u, 0xffff0000u, 0xffff0000u};

struct Avx2 {
  using Reg = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kRows = 3;         // of a float group: 3 x 32 columns, 12 of 16 registers hold sums
  static constexpr int kBf16Rows = 6;     // of a bf16 group: 6 x 16 columns
  static constexpr int kWideRows = 3;     // of a bf16 group with all 32 columns
  static constexpr int kRowPanels = 2;    // that one row is multiplied by at a time
  static constexpr int64_t kBlock = 128;  // k of a block of several groups: 16 KiB of floats

  // Bytes that a bf16 group alone fetches ahead (Zen 3: of no use to floats).
  static constexpr int64_t fetch_ahead(int rows) { return rows == 1 ? 1536 : rows <= 3 ? 2048 : 4096; }

  static REPRISE_INLINE Reg zero() { return _mm256_setzero_ps(); }
  static REPRISE_INLINE Reg load(const float* from) { return _mm256_loadu_ps(from); }
  static REPRISE_INLINE void store(float* to, Reg value) { _mm256_storeu_ps(to, value); }
  static REPRISE_INLINE Reg broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  // Not _mm256_fmadd_ps where most registers are taken: gcc 12 has sums and factors change places, and
  // spills.
  template <int kGroupRows>
  static REPRISE_INLINE Reg fma(Reg a, Reg b, Reg c) {
    if constexpr (kGroupRows < 3) return _mm256_fmadd_ps(a, b, c);
    asm("vfmadd231ps %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
  }
  static REPRISE_INLINE Reg widen(const uint16_t* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // Eight pairs of bf16: the values of even k, and those of odd k. kGroupRows: of the group that asks.
  static REPRISE_INLINE Reg widen_even(const unsigned char* from) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), 16));
  }
  template <int kGroupRows>
  static REPRISE_INLINE Reg widen_odd(const unsigned char* from) {
    __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    if constexpr (kGroupRows == kBf16Rows)  // which leaves no register for the mask
      asm("vpand %1, %0, %0" : "+x"(bits) : "m"(kOddMask));
    else
      bits = _mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xffff0000u)));
    return _mm256_castsi256_ps(bits);
  }
};

}  // namespace

void matmul_f32_avx2(const MatmulCall& call, int64_t begin, int64_t end) {
  multiply_panels<Avx2, false>(call, begin, end);
}

void matmul_bf16_avx2(const MatmulCall& call, int64_t begin, int64_t end) {
  multiply_panels<Avx2, true>(call, begin, end);
}

}  // namespace reprise::kernels::cpu

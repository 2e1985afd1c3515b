// The avx2 level of the matmul. Compiled with -mavx2 -mfma.
#include <immintrin.h>

#include "kernels/cpu/matmul_fma.h"

namespace reprise::kernels::cpu {
namespace {

struct Avx2 {
  using Reg = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kMostRows = 6;         // 6 rows x 16 columns: 12 of the 16 registers hold sums
  static constexpr int kStreamRows = 3;       // of a group of stream_all(), f32: 3 rows x 32 columns
  static constexpr int kStreamRowsBf16 = 3;   // bf16, which takes it up to so many rows
  static constexpr int kRowPanels = 2;        // that one row is multiplied by at a time
  static constexpr int64_t kBlock = 256;      // k of a block: 16 columns of floats are half of the L1 cache
  static constexpr int64_t kSmallBlock = 32;  // while memory is the limit, up to kSmallRows rows
  static constexpr int64_t kSmallRows = 16;

  // Vectors of columns that a group of rows keeps in registers.
  static constexpr int vectors_of(int rows) { return rows <= 3 ? 4 : 2; }

  static REPRISE_INLINE Reg zero() { return _mm256_setzero_ps(); }
  static REPRISE_INLINE Reg load(const float* from) { return _mm256_loadu_ps(from); }
  static REPRISE_INLINE void store(float* to, Reg value) { _mm256_storeu_ps(to, value); }
  static REPRISE_INLINE Reg broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static REPRISE_INLINE Reg fma(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  static REPRISE_INLINE Reg widen(const uint16_t* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // Eight pairs of bf16: the values of even k, and those of odd k.
  static REPRISE_INLINE Reg widen_even(const unsigned char* from) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)), 16));
  }
  static REPRISE_INLINE Reg widen_odd(const unsigned char* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
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

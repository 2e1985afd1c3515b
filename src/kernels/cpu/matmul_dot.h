// The bf16 matmul by vdpbf16ps: the body of the avx512_bf16 level. Included once by matmul_avx512_bf16.cc and
// by the test that emulates it; the includer brings the intrinsics. A block of 12 rows by 32 columns lives in
// registers; a pair of x is broadcast as 32 bits, so x needs no conversion.
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

inline constexpr int kDotRows = 12;
inline constexpr int64_t kDotBlock = 512;        // k of a block: 32 columns of it are 32 KiB
inline constexpr int64_t kDotSmallBlock = 128;   // while memory is the limit: the weights come as one stream
inline constexpr int64_t kDotFetchAhead = 4096;  // bytes

inline __attribute__((always_inline)) __m512bh weights_at(const unsigned char* from) {
  return (__m512bh)_mm512_loadu_si512(from);
}

inline __attribute__((always_inline)) __m512bh pair_at(const uint16_t* from) {
  int32_t pair;
  __builtin_memcpy(&pair, from, 4);
  return (__m512bh)_mm512_set1_epi32(pair);
}

// sums[r][0..32) += x[r] * w over `pairs` pairs of k, for MR rows.
template <int MR, bool kFetch>
__attribute__((noinline)) void dot_rows(const uint16_t* x, int64_t stride, const unsigned char* w,
                                        int64_t pairs, float* sums, bool resume, int64_t fetch) {
  __m512 acc[MR][2];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    acc[r][0] = resume ? _mm512_loadu_ps(sums + r * kPanel) : _mm512_setzero_ps();
    acc[r][1] = resume ? _mm512_loadu_ps(sums + r * kPanel + 16) : _mm512_setzero_ps();
  }
  for (int64_t pair = 0; pair < pairs; ++pair) {
    const unsigned char* at = w + pair / 16 * 2048 + pair % 16 * 64;
    if constexpr (kFetch) {
      __builtin_prefetch(w + pair * 128 + fetch, 0, 3);
      __builtin_prefetch(w + pair * 128 + 64 + fetch, 0, 3);
    }
    const __m512bh left = weights_at(at);
    const __m512bh right = weights_at(at + 1024);
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r) {
      const __m512bh xr = pair_at(x + r * stride + pair * 2);
      acc[r][0] = _mm512_dpbf16_ps(acc[r][0], xr, left);
      acc[r][1] = _mm512_dpbf16_ps(acc[r][1], xr, right);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    _mm512_storeu_ps(sums + r * kPanel, acc[r][0]);
    _mm512_storeu_ps(sums + r * kPanel + 16, acc[r][1]);
  }
}

template <bool kFetch, int MR>
void dot_tail(int64_t rows, const uint16_t* x, int64_t stride, const unsigned char* w, int64_t pairs,
              float* sums, bool resume, int64_t fetch) {
  if constexpr (MR > 0) {
    if (rows == MR)
      dot_rows<MR, kFetch>(x, stride, w, pairs, sums, resume, fetch);
    else
      dot_tail<kFetch, MR - 1>(rows, x, stride, w, pairs, sums, resume, fetch);
  }
}

void dot_panels(const MatmulCall& call, int64_t begin, int64_t end) {
  const int64_t panel_bytes = round_up(call.k, kPanel) * kPanel * 2;
  const int64_t even_k = round_up(call.k, 2);
  const bool copied = even_k != call.k;  // the last pair of a row would take in the next row's first element
  const int64_t row_bytes = kPanel * 4 + (copied ? even_k * 2 : 0);
  const int64_t fitting = smaller(call.scratch_bytes / row_bytes, 1008) / kDotRows * kDotRows;
  const int64_t block_rows = larger(1, smaller(call.rows, fitting));
  auto* sums = reinterpret_cast<float*>(call.scratch);
  auto* padded = reinterpret_cast<uint16_t*>(sums + block_rows * kPanel);

  const bool one_pass = call.rows <= kDotRows;
  const int64_t k_block = one_pass ? even_k : call.rows <= 64 ? kDotSmallBlock : kDotBlock;
  const int64_t fetch = one_pass ? kDotFetchAhead : k_block * kPanel * 2;

  for (int64_t row0 = 0; row0 < call.rows; row0 += block_rows) {
    const int64_t rows = smaller(block_rows, call.rows - row0);
    const uint16_t* x = static_cast<const uint16_t*>(call.x) + row0 * call.k;
    if (copied) {
      for (int64_t r = 0; r < rows; ++r) {
        __builtin_memcpy(padded + r * even_k, x + r * call.k, static_cast<unsigned long>(call.k) * 2);
        padded[r * even_k + call.k] = 0;
      }
      x = padded;
    }
    for (int64_t index = begin; index < end; ++index) {
      const Panel panel = find_panel(call, index, panel_bytes);
      for (int64_t k0 = 0; k0 < even_k; k0 += k_block) {
        const int64_t pairs = smaller(k_block, even_k - k0) / 2;
        const unsigned char* w = panel.weights + k0 * kPanel * 2;
        dot_tail<true, kDotRows>(smaller(rows, kDotRows), x + k0, even_k, w, pairs, sums, k0 > 0, fetch);
        int64_t r = kDotRows;
        for (; r + kDotRows <= rows; r += kDotRows)
          dot_rows<kDotRows, false>(x + r * even_k + k0, even_k, w, pairs, sums + r * kPanel, k0 > 0, 0);
        if (r < rows)
          dot_tail<false, kDotRows - 1>(rows - r, x + r * even_k + k0, even_k, w, pairs, sums + r * kPanel,
                                        k0 > 0, 0);
      }
      store_panel(panel, call.bf16_out, sums, row0, rows);
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu

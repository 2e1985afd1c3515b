// The bf16 matmul by vdpbf16ps: the body of the avx512_bf16 level. Included once by matmul_avx512_bf16.cc and
// by the test that emulates it; the including file includes the intrinsics first. A block of 12 rows by 32
// columns lives in registers; a pair of x is broadcast as 32 bits, so x needs no conversion.
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

inline constexpr int kDotRows = 12;
inline constexpr int64_t kDotBlock = 1024;      // k of a block: 32 columns of it stay in the L2 cache
inline constexpr int64_t kDotSmallBlock = 256;  // while memory is the limit
// Up to so many rows the products are fast enough for the CPU's own prefetcher to set the pace, which does
// best where every line is read in the order of memory and none is asked for (Zen 4: 25 % less time at 4
// rows).
inline constexpr int kDotStreamRows = 6;
// With more rows: bytes of weights to prefetch ahead into the L2 cache where they are one stream (the L1
// cache's own queue of misses is too short for the whole way to memory).
inline constexpr int64_t kDotFetchAhead = 8192;

inline __attribute__((always_inline)) __m512bh weights_at(const unsigned char* from) {
  return (__m512bh)_mm512_loadu_si512(from);
}

inline __attribute__((always_inline)) __m512bh pair_at(const uint16_t* from) {
  int32_t pair;
  __builtin_memcpy(&pair, from, 4);
  return (__m512bh)_mm512_set1_epi32(pair);
}

inline __attribute__((always_inline)) void fetch_line(const unsigned char* at) {
  __builtin_prefetch(at, 0, 2);
}

// Rows of x by threes: more pointers than that would not fit into the registers.
template <int MR>
struct PairRows {
  static constexpr int kThrees = (MR + 2) / 3;
  const uint16_t* three[kThrees];
  int64_t stride;

  inline __attribute__((always_inline)) PairRows(const uint16_t* x, int64_t row_stride) : stride(row_stride) {
#pragma GCC unroll 4
    for (int i = 0; i < kThrees; ++i) three[i] = x + 3 * i * stride;
  }
  inline __attribute__((always_inline)) __m512bh pair(int row) const {
    return pair_at(three[row / 3] + row % 3 * stride);
  }
  inline __attribute__((always_inline)) void advance(int64_t pairs) {
#pragma GCC unroll 4
    for (int i = 0; i < kThrees; ++i) three[i] += pairs * 2;
  }
};

// sums[r][0..32) = x[r] * w over all pairs of k, for MR rows. The two halves of a block come one after the
// other, as they lie in memory.
template <int MR>
__attribute__((noinline)) void dot_stream(const uint16_t* x, int64_t stride, const unsigned char* w,
                                          int64_t pairs, float* sums) {
  __m512 acc[MR][2];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ps();
  PairRows<MR> rows(x, stride);
  for (; pairs > 0; pairs -= 16, w += 2048) {
    const int64_t count = smaller(16, pairs);
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      if (half == 1) rows.advance(-count);
      const unsigned char* at = w + half * 1024;
      for (const unsigned char* end = at + count * 64; at < end; at += 64) {
        const __m512bh wk = weights_at(at);
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r) acc[r][half] = _mm512_dpbf16_ps(acc[r][half], rows.pair(r), wk);
        rows.advance(1);
        hold_order();
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    _mm512_storeu_ps(sums + r * kPanel, acc[r][0]);
    _mm512_storeu_ps(sums + r * kPanel + 16, acc[r][1]);
  }
}

// sums[r][0..32) += x[r] * w over `pairs` pairs of k, for MR rows; on the way `kLines` lines a pair are
// fetched from `next` on.
template <int MR, int kLines>
__attribute__((noinline)) void dot_rows(const uint16_t* x, int64_t stride, const unsigned char* w,
                                        int64_t pairs, float* sums, bool resume, const unsigned char* next) {
  __m512 acc[MR][2];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    acc[r][0] = resume ? _mm512_loadu_ps(sums + r * kPanel) : _mm512_setzero_ps();
    acc[r][1] = resume ? _mm512_loadu_ps(sums + r * kPanel + 16) : _mm512_setzero_ps();
  }
  PairRows<MR> rows(x, stride);
  while (pairs > 0) {
    const int64_t count = smaller(16, pairs);
    pairs -= count;
    for (const unsigned char* end = w + count * 64; w < end; w += 64) {
      if constexpr (kLines > 0) fetch_line(next);
      if constexpr (kLines > 1) fetch_line(next + 64);
      next += kLines * 64;
      const __m512bh left = weights_at(w);
      const __m512bh right = weights_at(w + 1024);
#pragma GCC unroll 16
      for (int r = 0; r < MR; ++r) {
        const __m512bh xr = rows.pair(r);
        acc[r][0] = _mm512_dpbf16_ps(acc[r][0], xr, left);
        acc[r][1] = _mm512_dpbf16_ps(acc[r][1], xr, right);
      }
      rows.advance(1);
    }
    w += 1024;
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r) {
    _mm512_storeu_ps(sums + r * kPanel, acc[r][0]);
    _mm512_storeu_ps(sums + r * kPanel + 16, acc[r][1]);
  }
}

// The same for a number of rows that is known only now, up to kDotRows.
template <int kLines, int MR = kDotRows>
void dot_group(int64_t rows, const uint16_t* x, int64_t stride, const unsigned char* w, int64_t pairs,
               float* sums, bool resume, const unsigned char* next) {
  if constexpr (MR > 0) {
    if (rows == MR)
      dot_rows<MR, kLines>(x, stride, w, pairs, sums, resume, next);
    else
      dot_group<kLines, MR - 1>(rows, x, stride, w, pairs, sums, resume, next);
  }
}

template <int MR = kDotStreamRows>
void dot_few(int64_t rows, const uint16_t* x, int64_t stride, const unsigned char* w, int64_t pairs,
             float* sums) {
  if constexpr (MR > 0) {
    if (rows == MR)
      dot_stream<MR>(x, stride, w, pairs, sums);
    else
      dot_few<MR - 1>(rows, x, stride, w, pairs, sums);
  }
}

// One panel for `rows` rows: sums[rows][32].
void dot_panel(int64_t rows, const uint16_t* x, int64_t stride, const unsigned char* w, int64_t pairs,
               float* sums) {
  if (rows <= kDotStreamRows) return dot_few(rows, x, stride, w, pairs, sums);
  if (rows <= kDotRows) return dot_group<2>(rows, x, stride, w, pairs, sums, false, w + kDotFetchAhead);
  // Groups of about the same number of rows, because a group of one or two is slow: a product waits for the
  // one before it. The first two groups share the work of fetching the next block.
  const int64_t groups = (rows + kDotRows - 1) / kDotRows;
  const int64_t block = (rows <= 64 ? kDotSmallBlock : kDotBlock) / 2;
  for (int64_t at = 0; at < pairs; at += block) {
    const int64_t count = smaller(block, pairs - at);
    const unsigned char* from = w + at * 128;
    const unsigned char* next = from + count * 128;
    for (int64_t group = 0; group < groups; ++group) {
      const int64_t row = group * rows / groups;
      const int64_t size = (group + 1) * rows / groups - row;
      const uint16_t* x_rows = x + row * stride + at * 2;
      float* to = sums + row * kPanel;
      if (group < 2)
        dot_group<1>(size, x_rows, stride, from, count, to, at > 0, next + group * count * 64);
      else
        dot_group<0>(size, x_rows, stride, from, count, to, at > 0, nullptr);
    }
  }
}

// round_row by the level's own conversion: the same bits, for sums are never denormal here.
inline void round_dot_row(const float* row, void* to) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(row)));
  _mm256_storeu_si256(static_cast<__m256i*>(to) + 1, (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(row + 16)));
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
      dot_panel(rows, x, even_k, panel.weights, even_k / 2, sums);
      store_panel(panel, call.bf16_out, sums, row0, rows, round_dot_row);
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu

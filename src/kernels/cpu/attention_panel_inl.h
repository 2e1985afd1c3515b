// The inner loop of attention, used for both of its products:
//   out[r][c] (+)= sum over k of a[r][k] * b[c][k], in order of k, one chain for each lane
// r: up to 6 rows of broadcast numbers (a query, or its p); c: columns of 16 lanes (keys of transposed K,
// elements of V) in words as the cache has them (kv_write.h). Which rows and columns share a call changes no
// bits.
#pragma once

#include "kernels/cpu/vec.h"
#if REPRISE_VEC_LEVEL == 3
#include "kernels/cpu/vec_dot.h"
#endif

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

// What a word of b is, and how it is multiplied.
enum class Words {
  floats,  // an f32, by FMA
  halves,  // two bf16, by an FMA each
  pairs,   // two bf16 by two bf16 of a, by one vdpbf16ps
};

inline constexpr int kGroupRows = REPRISE_VEC_LEVEL == 0 ? 1 : 6;

// Columns taken at once with so many rows: as many chains as hide the latency and fit the registers. Two
// rows, as in decode, take 8, so that V of a head of 128 is read in the order in which it lies.
constexpr int panel_columns(int rows) {
  if (REPRISE_VEC_LEVEL >= 2) return rows <= 2 ? 8 : 4;
  if (REPRISE_VEC_LEVEL == 1) return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
  return 1;
}

struct PanelCall {
  const float* a;  // row r at a + r * a_stride
  int64_t a_stride;
  const float* const* b;      // column c at b[c], its word k at + k * b_stride
  const float* const* ahead;  // like b, of what comes next: drawn into the cache meanwhile, where kAhead
  int64_t b_stride;
  int64_t count;  // of k, in words
  float* out;     // row r, column c at out + r * out_stride + 16 * c
  int64_t out_stride;
  int64_t lanes = kLanes;  // of panel_rest: elements of its column
};

// The element `half` of each word.
template <Words kWords>
REPRISE_VEC_INLINE Vec part(Vec words, int half) {
  if constexpr (kWords == Words::halves) return half == 0 ? low_bf16(words) : high_bf16(words);
  return words;
}

template <Words kWords>
REPRISE_VEC_INLINE Vec multiply(Vec a, Vec b, Vec sum) {
#if REPRISE_VEC_LEVEL == 3
  if constexpr (kWords == Words::pairs) return dot(a, b, sum);
#endif
  return fma(a, b, sum);
}

template <Words kWords, int kRows, int kColumns, bool kAccumulate, bool kAhead, bool kRest = false>
REPRISE_VEC_INLINE void panel_block(const PanelCall& call, int column) {
  constexpr int kParts = kWords == Words::halves ? 2 : 1;
  Vec sum[kRows][kColumns];
  float* out = call.out + column * kLanes;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
      sum[r][c] = kAccumulate ? load(out + r * call.out_stride + c * kLanes) : zero();
  const float* b[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) b[c] = call.b[column + c];
  const float* ahead[kColumns];
  if constexpr (kAhead) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) ahead[c] = call.ahead[column + c];
  }
  for (int64_t k = 0; k < call.count; ++k) {
    if constexpr (kAhead) {
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) __builtin_prefetch(ahead[c] + k * call.b_stride, 0, 2);
    }
#pragma GCC unroll 2
    for (int half = 0; half < kParts; ++half) {
      Vec lanes[kColumns];
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const float* from = b[c] + k * call.b_stride;
        lanes[c] = part<kWords>(kRest ? load_first(from, call.lanes) : load(from), half);
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Vec number = set1(call.a[r * call.a_stride + k * kParts + half]);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) sum[r][c] = multiply<kWords>(number, lanes[c], sum[r][c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) store(out + r * call.out_stride + c * kLanes, sum[r][c]);
}

template <Words kWords, int kRows, int kColumns, bool kAccumulate, bool kAhead>
REPRISE_VEC_INLINE void panel_sweep(const PanelCall& call, int column, int columns) {
  for (; columns - column >= kColumns; column += kColumns)
    panel_block<kWords, kRows, kColumns, kAccumulate, kAhead>(call, column);
  if constexpr (kColumns > 1) {
    if (column < columns)
      panel_sweep<kWords, kRows, kColumns / 2, kAccumulate, kAhead>(call, column, columns);
  }
}

// 1 <= rows <= kGroupRows
template <Words kWords, bool kAccumulate, bool kAhead, int kRows = kGroupRows>
void panel(const PanelCall& call, int rows, int columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel<kWords, kAccumulate, kAhead, kRows - 1>(call, rows, columns);
  }
  panel_sweep<kWords, kRows, panel_columns(kRows), kAccumulate, kAhead>(call, 0, columns);
}

// Adds to one column that has fewer than 16 elements.
template <Words kWords, int kRows = kGroupRows>
void panel_rest(const PanelCall& call, int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel_rest<kWords, kRows - 1>(call, rows);
  }
  panel_block<kWords, kRows, 1, true, false, true>(call, 0);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// The inner loop of attention, used for both of its products:
//   out[r][c] (+)= sum over k of a[r][k] * b[c][k], in order of k, one FMA chain for each lane
// r: up to 6 rows of broadcast numbers (a query, or its p); c: columns of 16 lanes (keys of transposed K,
// elements of V). Which rows and columns share a call changes no bits.
#pragma once

#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr int kGroupRows = REPRISE_VEC_LEVEL == 0 ? 1 : 6;

// Columns taken at once with so many rows: as many FMA chains as hide the latency and fit the registers.
constexpr int panel_columns(int rows) {
  if (REPRISE_VEC_LEVEL == 2) return rows == 1 ? 8 : 4;
  if (REPRISE_VEC_LEVEL == 1) return rows == 1 ? 4 : rows <= 3 ? 2 : 1;
  return 1;
}

template <typename E>
struct PanelCall {
  const float* a;  // row r at a + r * a_stride
  int64_t a_stride;
  const E* const* b;  // column c at b[c], its k at + k * b_stride
  const E* const*
      ahead;  // like b, of what comes next: drawn into the cache meanwhile; unused where not kAhead
  int64_t b_stride;
  int64_t count;  // of k
  float* out;     // row r, column c at out + r * out_stride + 16 * c
  int64_t out_stride;
  int64_t lanes = kLanes;  // of panel_rest: elements of its column
};

template <int kRows, int kColumns, bool kAccumulate, bool kAhead, bool kRest = false, typename E>
REPRISE_VEC_INLINE void panel_block(const PanelCall<E>& call, int column) {
  Vec sum[kRows][kColumns];
  float* out = call.out + column * kLanes;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
      sum[r][c] = kAccumulate ? load(out + r * call.out_stride + c * kLanes) : zero();
  const E* b[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) b[c] = call.b[column + c];
  const E* ahead[kColumns];
  if constexpr (kAhead) {
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) ahead[c] = call.ahead[column + c];
  }
  for (int64_t k = 0; k < call.count; ++k) {
    Vec lanes[kColumns];
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const E* from = b[c] + k * call.b_stride;
      if constexpr (kRest)
        lanes[c] = load_first(from, call.lanes);
      else
        lanes[c] = load(from);
    }
    if constexpr (kAhead) {
      // A cache line holds 4 / size columns of 16.
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; c += static_cast<int>(4 / sizeof(E)))
        __builtin_prefetch(ahead[c] + k * call.b_stride, 0, 2);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec number = set1(call.a[r * call.a_stride + k]);
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) sum[r][c] = fma(number, lanes[c], sum[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) store(out + r * call.out_stride + c * kLanes, sum[r][c]);
}

template <int kRows, int kColumns, bool kAccumulate, bool kAhead, typename E>
REPRISE_VEC_INLINE void panel_sweep(const PanelCall<E>& call, int column, int columns) {
  for (; columns - column >= kColumns; column += kColumns)
    panel_block<kRows, kColumns, kAccumulate, kAhead>(call, column);
  if constexpr (kColumns > 1) {
    if (column < columns) panel_sweep<kRows, kColumns / 2, kAccumulate, kAhead>(call, column, columns);
  }
}

// 1 <= rows <= kGroupRows
template <bool kAccumulate, bool kAhead, typename E, int kRows = kGroupRows>
void panel(const PanelCall<E>& call, int rows, int columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel<kAccumulate, kAhead, E, kRows - 1>(call, rows, columns);
  }
  panel_sweep<kRows, panel_columns(kRows), kAccumulate, kAhead>(call, 0, columns);
}

// Adds to one column that has fewer than 16 elements.
template <typename E, int kRows = kGroupRows>
void panel_rest(const PanelCall<E>& call, int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel_rest<E, kRows - 1>(call, rows);
  }
  panel_block<kRows, 1, true, false, true>(call, 0);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

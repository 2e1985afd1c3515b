// The inner loop of attention, used for both of its products:
//   out[s][r][c] (+)= sum over k of a[s][r][k] * b[s][c][k], in order of k, one chain for each lane
// s: sets of rows that do not share b (kv heads); r: up to 6 rows of broadcast numbers (a query, or its p); c:
// columns of 16 lanes (keys of transposed K, elements of V) in words as the cache has them (kv_write.h). Which
// sets, rows and columns share a call changes no bits.
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

// Sets taken at once by a token with so many rows in a set and columns in a head: small heads have too few
// chains to hide the latency.
inline constexpr int kMostSetRows = 4;
constexpr int panel_sets(int rows, int columns) {
  if (rows > kMostSetRows) return 1;
  int sets = 1;
  while (2 * sets * columns <= panel_columns(rows)) sets *= 2;
  return sets;
}

struct PanelCall {
  const float* a;  // row r of all sets at a + r * a_stride
  int64_t a_stride;
  const float* const* b;      // column c at b[c], its word k at + k * b_stride
  const float* const* ahead;  // like b, of what comes next: drawn into the cache meanwhile, where kAhead
  int64_t b_stride;
  int64_t b_set;  // from set to set, of b and ahead
  int64_t count;  // of k, in words
  float* out;     // row r of all sets, column c at out + r * out_stride + 16 * c
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

template <Words kWords, int kSets, int kRows, int kColumns, bool kAccumulate, bool kAhead, bool kRest = false>
REPRISE_VEC_INLINE void panel_block(const PanelCall& call, int set, int column) {
  constexpr int kParts = kWords == Words::halves ? 2 : 1;
  constexpr int kAll = kSets * kColumns;
  Vec sum[kSets * kRows][kColumns];
  float* out = call.out + set * kRows * call.out_stride + column * kLanes;
#pragma GCC unroll 16
  for (int r = 0; r < kSets * kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c)
      sum[r][c] = kAccumulate ? load(out + r * call.out_stride + c * kLanes) : zero();
  const float* a = call.a + set * kRows * call.a_stride;
  const float* b[kAll];
#pragma GCC unroll 8
  for (int i = 0; i < kAll; ++i) b[i] = call.b[column + i % kColumns] + (set + i / kColumns) * call.b_set;
  const float* ahead[kAll];
  if constexpr (kAhead) {
#pragma GCC unroll 8
    for (int i = 0; i < kAll; ++i)
      ahead[i] = call.ahead[column + i % kColumns] + (set + i / kColumns) * call.b_set;
  }
  for (int64_t k = 0; k < call.count; ++k) {
    if constexpr (kAhead) {
#pragma GCC unroll 8
      for (int i = 0; i < kAll; ++i) __builtin_prefetch(ahead[i] + k * call.b_stride, 0, 2);
    }
#pragma GCC unroll 2
    for (int half = 0; half < kParts; ++half) {
      Vec lanes[kAll];
#pragma GCC unroll 8
      for (int i = 0; i < kAll; ++i) {
        const float* from = b[i] + k * call.b_stride;
        lanes[i] = part<kWords>(kRest ? load_first(from, call.lanes) : load(from), half);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kSets * kRows; ++r) {
        const Vec number = set1(a[r * call.a_stride + k * kParts + half]);
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c)
          sum[r][c] = multiply<kWords>(number, lanes[r / kRows * kColumns + c], sum[r][c]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kSets * kRows; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) store(out + r * call.out_stride + c * kLanes, sum[r][c]);
}

// Columns [column, column + kColumns) of the sets [set, sets).
template <Words kWords, int kSets, int kRows, int kColumns, bool kAccumulate, bool kAhead, bool kRest = false>
REPRISE_VEC_INLINE void panel_columns_of(const PanelCall& call, int set, int sets, int column) {
  for (; sets - set >= kSets; set += kSets)
    panel_block<kWords, kSets, kRows, kColumns, kAccumulate, kAhead, kRest>(call, set, column);
  if constexpr (kSets > 1) {
    if (set < sets)
      panel_columns_of<kWords, kSets / 2, kRows, kColumns, kAccumulate, kAhead, kRest>(call, set, sets,
                                                                                       column);
  }
}

template <Words kWords, int kRows, int kColumns, bool kAccumulate, bool kAhead>
REPRISE_VEC_INLINE void panel_sweep(const PanelCall& call, int sets, int column, int columns) {
  constexpr int kSets = kAhead ? panel_sets(kRows, kColumns) : 1;
  for (; columns - column >= kColumns; column += kColumns)
    panel_columns_of<kWords, kSets, kRows, kColumns, kAccumulate, kAhead>(call, 0, sets, column);
  if constexpr (kColumns > 1) {
    if (column < columns)
      panel_sweep<kWords, kRows, kColumns / 2, kAccumulate, kAhead>(call, sets, column, columns);
  }
}

// 1 <= rows <= kGroupRows, of each set
template <Words kWords, bool kAccumulate, bool kAhead, int kRows = kGroupRows>
void panel(const PanelCall& call, int sets, int rows, int columns) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel<kWords, kAccumulate, kAhead, kRows - 1>(call, sets, rows, columns);
  }
  panel_sweep<kWords, kRows, panel_columns(kRows), kAccumulate, kAhead>(call, sets, 0, columns);
}

// Adds to one column that has fewer than 16 elements.
template <Words kWords, int kRows = kGroupRows>
void panel_rest(const PanelCall& call, int sets, int rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return panel_rest<kWords, kRows - 1>(call, sets, rows);
  }
  panel_columns_of<kWords, panel_sets(kRows, 1), kRows, 1, true, false, true>(call, 0, sets, 0);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

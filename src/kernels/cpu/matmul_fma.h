// The float FMA matmul, for any vector width: the body of the avx2 and avx512 levels, f32 and bf16. Included
// once by each per-ISA file (and by tests that emulate a level); everything here has internal linkage.
//
// Groups of rows by 16 or 32 columns live in registers and walk a block of k; between blocks of k the sums
// are kept in scratch as floats, with all their bits. One group alone reads the weights strictly in the order
// in which they lie. Several share a block of k that fits the L1 cache and meanwhile fetch the next one, so
// that memory and arithmetic work at the same time. bf16 weights are widened on the way (a shift for even k,
// a mask for odd) by the first group, which leaves floats for the others; bf16 x once per range of panels.
//
// Besides cache lines it is instructions that count: where two hardware threads share a core, each issues
// about three a clock, so that the loads and counters around the FMAs take time of their own.
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

#define REPRISE_INLINE inline __attribute__((always_inline))

inline constexpr int64_t kAloneBlock = 1024;  // k of a block of one group
inline constexpr int64_t kUnroll = 8;         // steps of k

constexpr int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

// Floats from row to row of widened x: no power of two, which would put all rows into one set of the cache.
constexpr int64_t widened_stride(int64_t k_block) {
  return k_block + 16;
}

// The weights behind the block at hand, which the groups fetch a few lines at a time.
struct Ahead {
  const unsigned char* at;
  const unsigned char* end;
  int64_t lines;

  REPRISE_INLINE void fetch() {
    if (at < end)
      for (int64_t line = 0; line < lines; ++line, at += 64) __builtin_prefetch(at, 0, 2);
  }
};

// The sums of a group: MR rows by NV vectors of columns, in registers.
template <class V, int MR, int NV>
struct Sums {
  typename V::Reg at[MR][NV];

  REPRISE_INLINE void load(const float* from) {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) at[r][v] = V::load(from + r * kPanel + v * V::kLanes);
  }
  REPRISE_INLINE void store(float* to) const {
#pragma GCC unroll 16
    for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) V::store(to + r * kPanel + v * V::kLanes, at[r][v]);
  }
};

// sums[r][0..32) += x[r][0..steps) * w for MR rows, `stride` floats apart; w [steps][32] floats. kAlone:
// there is no other group.
template <class V, int MR, bool kAlone>
__attribute__((noinline)) void multiply_floats(const float* x, int64_t stride, const float* w, int64_t steps,
                                               float* sums, Ahead& ahead) {
  constexpr int kVectors = kPanel / V::kLanes;
  Sums<V, MR, kVectors> group;
  group.load(sums);
  const auto step = [&](int64_t k) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const typename V::Reg weights = V::load(w + k * kPanel + v * V::kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r)
        group.at[r][v] = V::template fma<MR>(V::broadcast(x + r * stride + k), weights, group.at[r][v]);
    }
    hold_order();
  };
  int64_t k = 0;
  if constexpr (!kAlone)  // alone, memory is the limit, and the plain loop reads it best
    for (; k + kUnroll <= steps; k += kUnroll) {
      ahead.fetch();
#pragma GCC unroll 8
      for (int64_t i = 0; i < kUnroll; ++i) step(k + i);
    }
  for (; k < steps; ++k) step(k);
  group.store(sums);
}

// Adds 32 k of 16 columns, bf16 (pack.h): x rows kStride floats apart, sums from vector `first` on. kKeep:
// leaves the weights as floats, [32][32], in `widened`. Fetches kFetchAhead bytes ahead, 0: not at all.
template <class V, int MR, int NV, int64_t kStride, bool kKeep, int64_t kFetchAhead>
REPRISE_INLINE void add_half(Sums<V, MR, NV>& group, int first, const float* x, const unsigned char* w,
                             float* widened) {
  constexpr int kVectors = kPanel / 2 / V::kLanes;
  const auto add_pair = [&](int64_t k, const unsigned char* pair) __attribute__((always_inline)) {
    if constexpr (kFetchAhead > 0) __builtin_prefetch(pair + kFetchAhead, 0, 3);
#pragma GCC unroll 2
    for (int parity = 0; parity < 2; ++parity) {
      typename V::Reg weights[kVectors];
#pragma GCC unroll 2
      for (int i = 0; i < kVectors; ++i) {
        const unsigned char* from = pair + i * V::kLanes * 4;
        weights[i] = parity == 0 ? V::widen_even(from) : V::template widen_odd<MR>(from);
        if constexpr (kKeep) V::store(widened + (k + parity) * kPanel + i * V::kLanes, weights[i]);
      }
#pragma GCC unroll 16
      for (int r = 0; r < MR; ++r) {
        const typename V::Reg xr = V::broadcast(x + r * kStride + k + parity);
#pragma GCC unroll 2
        for (int i = 0; i < kVectors; ++i)
          group.at[r][first + i] = V::template fma<MR>(xr, weights[i], group.at[r][first + i]);
      }
      hold_order();  // also: both parities of the weights at once don't fit into the registers
    }
  };
  if constexpr (NV > kVectors) {
#pragma GCC unroll 4
    for (int64_t k = 0; k < 32; k += 2) add_pair(k, w + k * 32);
  } else {  // unrolled, gcc 12 spills sums
#pragma GCC unroll 1
    for (int64_t k = 0; k < 32; k += 2) add_pair(k, w + k * 32);
  }
}

// The same as multiply_floats() where w is bf16, a multiple of 32 steps, and x widened: 16 columns of a block
// of 32 k, then the other 16, as they lie. Up to V::kWideRows rows all sums stay in registers. A group that
// isn't alone leaves the weights in `widened` for the others.
template <class V, int MR, bool kAlone>
__attribute__((noinline)) void multiply_bf16(const float* x, const unsigned char* w, int64_t steps,
                                             float* sums, float* widened, Ahead& ahead) {
  constexpr int64_t kStride = widened_stride(kAlone ? kAloneBlock : V::kBlock);
  constexpr int64_t kFetchAhead = kAlone ? V::fetch_ahead(MR) : 0;
  constexpr int kHalf = kPanel / 2 / V::kLanes;
  if constexpr (MR <= V::kWideRows) {
    Sums<V, MR, 2 * kHalf> group;
    group.load(sums);
    for (int64_t k = 0; k < steps; k += 32, w += 2048) {
      if constexpr (!kAlone) ahead.fetch();
      add_half<V, MR, 2 * kHalf, kStride, !kAlone, kFetchAhead>(group, 0, x + k, w, widened + k * kPanel);
      add_half<V, MR, 2 * kHalf, kStride, !kAlone, kFetchAhead>(group, kHalf, x + k, w + 1024,
                                                                widened + k * kPanel + 16);
    }
    group.store(sums);
  } else {
    for (int64_t half = 0; half < steps / 16; ++half, w += 1024) {
      if constexpr (!kAlone) ahead.fetch();
      const int64_t k = half / 2 * 32;
      const int64_t column = half % 2 * 16;
      Sums<V, MR, kHalf> group;
      group.load(sums + column);
      add_half<V, MR, kHalf, kStride, !kAlone, kFetchAhead>(group, 0, x + k, w,
                                                            widened + k * kPanel + column);
      group.store(sums + column);
    }
  }
}

// body.operator()<R>(), R being `rows`, 1 to kMost.
template <int kMost, class Body>
REPRISE_INLINE void with_rows(int64_t rows, Body&& body) {
  if constexpr (kMost == 1)
    body.template operator()<1>();
  else if (rows == kMost)
    body.template operator()<kMost>();
  else
    with_rows<kMost - 1>(rows, body);
}

// A block of k for all rows, in groups of about the same size.
template <class V>
void multiply_block(const float* w, int64_t rows, const float* x, int64_t stride, int64_t steps, float* sums,
                    Ahead& ahead) {
  const int64_t groups = divide_up(rows, V::kRows);
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t r = group * rows / groups;
    with_rows<V::kRows>((group + 1) * rows / groups - r, [&]<int MR>() {
      multiply_floats<V, MR, false>(x + r * stride, stride, w, steps, sums + r * kPanel, ahead);
    });
  }
}

// The first group takes so many rows that full groups are left.
template <class V>
void multiply_block(const unsigned char* w, int64_t rows, const float* x, int64_t steps, float* sums,
                    float* widened, Ahead& ahead) {
  constexpr int64_t kLeast = V::kBf16Rows - V::kRows + 1;
  const int64_t first = rows <= V::kBf16Rows ? rows : kLeast + (rows - kLeast) % V::kRows;
  with_rows<V::kBf16Rows>(first,
                          [&]<int MR>() { multiply_bf16<V, MR, false>(x, w, steps, sums, widened, ahead); });
  constexpr int64_t kStride = widened_stride(V::kBlock);
  multiply_block<V>(static_cast<const float*>(widened), rows - first, x + first * kStride, kStride, steps,
                    sums + first * kPanel, ahead);
}

// x as the groups read it, [rows, k] of floats. bf16 is widened into a buffer, zero-padded to a multiple of
// 32 columns, block of k after block of k, so that what the groups of a block read is one piece of memory.
template <class V, bool kBf16>
class Rows {
 public:
  // Widens `span` columns at a time, in blocks of `k_block`.
  Rows(const MatmulCall& call, float* buffer, int64_t span, int64_t k_block)
      : call_(call),
        buffer_(buffer),
        span_(span),
        k_block_(k_block),
        stride_(kBf16 ? widened_stride(k_block) : call.k) {}

  // Makes rows [row0, row0 + rows), columns [k0, k0 + span) ready.
  void prepare(int64_t row0, int64_t rows, int64_t k0) {
    if (kBf16 && (row0 != row0_ || k0 != k0_))
      for (int64_t at = k0; at < smaller(k0 + span_, call_.k); at += k_block_)
        for (int64_t r = 0; r < rows; ++r)
          widen(static_cast<const uint16_t*>(call_.x) + (row0 + r) * call_.k + at,
                smaller(k_block_, call_.k - at), buffer_ + ((at - k0) / k_block_ * rows + r) * stride_);
    row0_ = row0;
    rows_ = rows;
    k0_ = k0;
  }
  // Row row0 of the block that starts at column k; the next row is stride() floats on.
  const float* block(int64_t k) const {
    if constexpr (kBf16) return buffer_ + (k - k0_) / k_block_ * rows_ * stride_;
    return static_cast<const float*>(call_.x) + row0_ * call_.k + k;
  }
  int64_t stride() const { return stride_; }

 private:
  static void widen(const uint16_t* from, int64_t columns, float* to) {
    int64_t c = 0;
    for (; c + V::kLanes <= columns; c += V::kLanes) V::store(to + c, V::widen(from + c));
    for (; c < columns; ++c) {
      const uint32_t wide = static_cast<uint32_t>(from[c]) << 16;
      __builtin_memcpy(to + c, &wide, 4);
    }
    for (; c < round_up(columns, kPanel); ++c) to[c] = 0.0f;
  }

  const MatmulCall& call_;
  float* buffer_;
  int64_t span_;
  int64_t k_block_;
  int64_t stride_;
  int64_t row0_ = -1;
  int64_t rows_ = 0;
  int64_t k0_ = -1;
};

// The sums of one row by kPanels panels, in registers.
template <class V, int kPanels>
struct RowSums {
  static constexpr int kVectors = kPanel / V::kLanes;
  typename V::Reg at[kPanels][kVectors];

  REPRISE_INLINE void clear() {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) at[p][v] = V::zero();
  }
  REPRISE_INLINE void store(float* to) const {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) V::store(to + p * kPanel + v * V::kLanes, at[p][v]);
  }
};

// One row by kPanels panels of floats: sums[kPanels][32].
template <class V, int kPanels>
REPRISE_INLINE void multiply_row_floats(const float* x, const unsigned char* const* panels, int64_t k,
                                        float* sums) {
  RowSums<V, kPanels> row;
  row.clear();
  for (int64_t at = 0; at < k; ++at) {
    const typename V::Reg xk = V::broadcast(x + at);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < row.kVectors; ++v) {
        const float* from = reinterpret_cast<const float*>(panels[p]) + at * kPanel + v * V::kLanes;
        row.at[p][v] = V::template fma<1>(xk, V::load(from), row.at[p][v]);
      }
  }
  row.store(sums);
}

// The same for bf16; k is a multiple of 32.
template <class V, int kPanels>
REPRISE_INLINE void multiply_row_bf16(const float* x, const unsigned char* const* panels, int64_t k,
                                      float* sums) {
  constexpr int kHalf = kPanel / 2 / V::kLanes;
  constexpr int64_t kFetchAhead = V::fetch_ahead(1);
  RowSums<V, kPanels> row;
  row.clear();
  for (int64_t k0 = 0; k0 < k; k0 += 32)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half)
#pragma GCC unroll 4
      for (int64_t pair = 0; pair < 16; ++pair) {
        const typename V::Reg even = V::broadcast(x + k0 + 2 * pair);
        const typename V::Reg odd = V::broadcast(x + k0 + 2 * pair + 1);
#pragma GCC unroll 4
        for (int p = 0; p < kPanels; ++p) {
          const unsigned char* from = panels[p] + k0 * 64 + half * 1024 + pair * 64;
          if constexpr (kFetchAhead > 0) __builtin_prefetch(from + kFetchAhead, 0, 3);
#pragma GCC unroll 2
          for (int v = 0; v < kHalf; ++v) {
            typename V::Reg& sum = row.at[p][half * kHalf + v];
            sum = V::template fma<1>(even, V::widen_even(from + v * V::kLanes * 4), sum);
            sum = V::template fma<1>(odd, V::template widen_odd<1>(from + v * V::kLanes * 4), sum);
          }
        }
        hold_order();
      }
  row.store(sums);
}

// One row. A panel has too few chains of FMAs to keep the units busy, and where k is small it is over before
// the CPU's prefetcher has found its pace: so several panels are taken at a time.
template <class V, bool kBf16, int kPanels = V::kRowPanels>
void multiply_small(const MatmulCall& call, const float* x, int64_t k, int64_t begin, int64_t end) {
  for (; end - begin >= kPanels; begin += kPanels) {
    Panel panels[kPanels];
    const unsigned char* weights[kPanels];
    alignas(64) float sums[kPanels * kPanel];
    for (int p = 0; p < kPanels; ++p) {
      panels[p] = find_panel(call, begin + p, k * kPanel * (kBf16 ? 2 : 4));
      weights[p] = panels[p].weights;
    }
    if constexpr (kBf16)
      multiply_row_bf16<V, kPanels>(x, weights, k, sums);
    else
      multiply_row_floats<V, kPanels>(x, weights, k, sums);
    for (int p = 0; p < kPanels; ++p) store_panel(panels[p], call.bf16_out, sums + p * kPanel, 0, 1);
  }
  if constexpr (kPanels > 1)
    if (begin < end) multiply_small<V, kBf16, kPanels / 2>(call, x, k, begin, end);
}

template <class V, bool kBf16>
void multiply_panels(const MatmulCall& call, int64_t begin, int64_t end) {
  constexpr int64_t kLargestSpan = 16384;          // columns of x that are widened at a time
  constexpr int64_t kMostRows = 1008;              // for a pass over the weights
  constexpr int64_t kXBytes = int64_t{512} << 10;  // of x for a pass: about an L2 cache
  const int64_t k = kBf16 ? round_up(call.k, kPanel) : call.k;
  const int64_t span = smaller(k, kLargestSpan);
  const int64_t alone_rows = kBf16 ? V::kBf16Rows : V::kRows;
  const bool alone = call.rows <= alone_rows;
  const int64_t k_block = alone ? kAloneBlock : V::kBlock;
  const int64_t passes = divide_up(call.rows, smaller(kMostRows, larger(2 * alone_rows, kXBytes / 4 / span)));
  const int64_t block_rows = smaller(call.rows, round_up(divide_up(call.rows, passes), V::kRows));
  auto* sums = reinterpret_cast<float*>(call.scratch);
  float* widened = sums + block_rows * kPanel;
  Rows<V, kBf16> x(call, widened + V::kBlock * kPanel, span, k_block);
  constexpr int64_t kSmall =
      kBf16 ? kAloneBlock : 512;  // k; floats are read best in one stream from there on
  if (call.rows == 1 && k <= kSmall) {
    x.prepare(0, 1, 0);
    return multiply_small<V, kBf16>(call, x.block(0), k, begin, end);
  }

  constexpr int64_t kStepBytes = kPanel * (kBf16 ? 2 : 4);
  for (int64_t row0 = 0; row0 < call.rows; row0 += block_rows) {
    const int64_t rows = smaller(block_rows, call.rows - row0);
    // Spread over the steps of all groups, so that memory is asked evenly.
    const int64_t fetches = larger(1, divide_up(rows, V::kRows) * k_block / kUnroll);
    const int64_t lines = divide_up(k_block * kStepBytes / 64, fetches);
    for (int64_t index = begin; index < end; ++index) {
      const Panel panel = find_panel(call, index, k * kStepBytes);
      __builtin_memset(sums, 0, static_cast<unsigned long>(rows * kPanel) * 4);
      for (int64_t k0 = 0; k0 < k; k0 += span) {
        x.prepare(row0, rows, k0);
        const int64_t k1 = smaller(k0 + span, k);
        for (int64_t at = k0; at < k1; at += k_block) {
          const int64_t steps = smaller(k_block, k1 - at);
          const unsigned char* w = panel.weights + at * kStepBytes;
          Ahead ahead{w + steps * kStepBytes, w + 2 * steps * kStepBytes, lines};
          const float* rows_x = x.block(at);
          if constexpr (kBf16) {
            if (alone)
              with_rows<V::kBf16Rows>(rows, [&]<int MR>() {
                multiply_bf16<V, MR, true>(rows_x, w, steps, sums, widened, ahead);
              });
            else
              multiply_block<V>(w, rows, rows_x, steps, sums, widened, ahead);
          } else {
            const auto* floats = reinterpret_cast<const float*>(w);
            if (alone)
              with_rows<V::kRows>(rows, [&]<int MR>() {
                multiply_floats<V, MR, true>(rows_x, x.stride(), floats, steps, sums, ahead);
              });
            else
              multiply_block<V>(floats, rows, rows_x, x.stride(), steps, sums, ahead);
          }
        }
      }
      store_panel(panel, call.bf16_out, sums, row0, rows);
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu

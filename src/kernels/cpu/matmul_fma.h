// The float FMA matmul, for any vector width: the body of the avx2 and avx512 levels, f32 and bf16. Included
// once by each per-ISA file (and by tests that emulate a level); everything here has internal linkage.
//
// Groups of rows by 16 or 32 columns live in registers and walk a block of k; between blocks of k the sums
// rest in scratch as floats, which keeps their bits. bf16 weights are widened on the way (a shift for even k,
// a mask for odd), bf16 x once per range of panels. f32, and bf16 with few rows, go by stream_all(); bf16
// with more rows, whose widening asks for more sums at once, by multiply_all().
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

#define REPRISE_INLINE inline __attribute__((always_inline))

inline constexpr int64_t kStreamBlock = 1024;  // k of a block of stream_all(): 32 columns fit an L2 cache
inline constexpr int64_t kFetchAhead = 4096;   // bytes of bf16 weights, where multiply_all() reads one stream

// sums[r][c] += x[r][0..steps) * w for MR rows and NV vectors of columns, from column 0 of `w`.
// x: floats, rows `stride` apart. w: bf16 blocks (pack.h). `fetch`: bytes ahead to prefetch.
template <class V, int MR, int NV, bool kFetch>
REPRISE_INLINE void multiply_block(const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                                   float* sums, bool resume, int64_t fetch) {
  using Reg = typename V::Reg;
  constexpr int kLanes = V::kLanes;
  constexpr int kLines = NV * kLanes / 16;  // cache lines of weights a step
  Reg acc[MR][NV];
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[r][v] = resume ? V::load(sums + r * kPanel + v * kLanes) : V::zero();

  for (int64_t block = 0; block < steps; block += 32, x += 32, w += 2048) {
#pragma GCC unroll 2
    for (int pair = 0; pair < 16; ++pair) {
      const unsigned char* at = w + pair * 64;
      if constexpr (kFetch) {  // in the order of memory, not of use: the columns come from two pieces
#pragma GCC unroll 2
        for (int line = 0; line < kLines; ++line)
          __builtin_prefetch(w + (pair * kLines + line) * 64 + fetch, 0, 3);
      }
      // One parity after the other: both at once don't fit into the registers beside the sums.
#pragma GCC unroll 2
      for (int parity = 0; parity < 2; ++parity) {
        Reg wk[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const unsigned char* from = at + v * kLanes / 16 * 1024 + v * kLanes % 16 * 4;
          wk[v] = parity == 0 ? V::widen_even(from) : V::widen_odd(from);
        }
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r) {
          const Reg xr = V::broadcast(x + r * stride + pair * 2 + parity);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(xr, wk[v], acc[r][v]);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) V::store(sums + r * kPanel + v * kLanes, acc[r][v]);
}

// One group of rows over all 32 columns, in as many parts as the registers ask for.
template <class V, int MR, bool kFetch>
__attribute__((noinline)) void multiply_rows(const float* x, int64_t stride, const unsigned char* w,
                                             int64_t steps, float* sums, bool resume, int64_t fetch) {
  constexpr int kVectors = V::vectors_of(MR);
  constexpr int kColumns = kVectors * V::kLanes;
  for (int column = 0; column < kPanel; column += kColumns) {
    const unsigned char* from = w + column / 16 * 1024 + column % 16 * 4;
    multiply_block<V, MR, kVectors, kFetch>(x, stride, from, steps, sums + column, resume, fetch);
  }
}

template <class V, bool kFetch, int MR>
void multiply_few(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                  float* sums, bool resume, int64_t fetch) {
  if constexpr (MR > 0) {
    if (rows == MR)
      multiply_rows<V, MR, kFetch>(x, stride, w, steps, sums, resume, fetch);
    else
      multiply_few<V, kFetch, MR - 1>(rows, x, stride, w, steps, sums, resume, fetch);
  }
}

// A block of k for all rows. Only the first group prefetches: the others find the weights in the cache.
template <class V>
void multiply_all(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                  float* sums, bool resume, int64_t fetch) {
  constexpr int kMost = V::kMostRows;
  multiply_few<V, true, kMost>(smaller(rows, kMost), x, stride, w, steps, sums, resume, fetch);
  int64_t r = kMost;
  for (; r + kMost <= rows; r += kMost)
    multiply_rows<V, kMost, false>(x + r * stride, stride, w, steps, sums + r * kPanel, resume, 0);
  if (r < rows)
    multiply_few<V, false, kMost - 1>(rows - r, x + r * stride, stride, w, steps, sums + r * kPanel, resume,
                                      0);
}

// sums[r][0..32) += x[r][0..steps) * w for MR rows. Reads the weights strictly in the order in which they lie
// and leaves the fetching to the CPU, which does that best (Zen 4; every prefetch tried made it slower).
template <class V, bool kBf16, int MR>
__attribute__((noinline)) void stream_rows(const float* x, int64_t stride, const unsigned char* w,
                                           int64_t steps, float* sums, bool resume) {
  using Reg = typename V::Reg;
  constexpr int kVectors = kPanel / V::kLanes;
  Reg acc[MR][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v)
      acc[r][v] = resume ? V::load(sums + r * kPanel + v * V::kLanes) : V::zero();
  // Adds x[.][k] times `count` vectors of weights to the sums from vector `first` on.
  const auto multiply = [&](int64_t k, int first, int count, auto&& weights) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int v = 0; v < count; ++v) {
      const Reg wk = weights(v);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r)
        acc[r][first + v] = V::fma(V::broadcast(x + r * stride + k), wk, acc[r][first + v]);
    }
  };
  if constexpr (kBf16) {
    constexpr int kHalf = kVectors / 2;
    for (int64_t block = 0; block < steps; block += 32)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        for (int64_t k = block; k < block + 32; k += 2, w += 64) {
          multiply(k, half * kHalf, kHalf, [&](int v) { return V::widen_even(w + v * V::kLanes * 4); });
          multiply(k + 1, half * kHalf, kHalf, [&](int v) { return V::widen_odd(w + v * V::kLanes * 4); });
          hold_order();
        }
  } else {
    for (int64_t k = 0; k < steps; ++k, w += kPanel * 4) {
      multiply(k, 0, kVectors,
               [&](int v) { return V::load(reinterpret_cast<const float*>(w) + v * V::kLanes); });
      hold_order();
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) V::store(sums + r * kPanel + v * V::kLanes, acc[r][v]);
}

template <class V, bool kBf16, int MR>
void stream_few(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                float* sums, bool resume) {
  if constexpr (MR > 0) {
    if (rows == MR)
      stream_rows<V, kBf16, MR>(x, stride, w, steps, sums, resume);
    else
      stream_few<V, kBf16, MR - 1>(rows, x, stride, w, steps, sums, resume);
  }
}

// A block of k for all rows, in groups of about the same number; the first finds the weights in memory, the
// others in the L2 cache.
template <class V, bool kBf16>
void stream_all(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                float* sums, bool resume) {
  constexpr int kMost = kBf16 ? V::kStreamRowsBf16 : V::kStreamRows;
  const int64_t groups = (rows + kMost - 1) / kMost;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t row = group * rows / groups;
    const int64_t size = (group + 1) * rows / groups - row;
    stream_few<V, kBf16, kMost>(size, x + row * stride, stride, w, steps, sums + row * kPanel, resume);
  }
}

// x as the blocks read it: floats, zero-padded to a multiple of 32 columns where it is bf16.
template <class V, bool kBf16>
class Rows {
 public:
  Rows(const MatmulCall& call, float* buffer, int64_t span, int64_t stride)
      : call_(call), buffer_(buffer), span_(span), stride_(kBf16 ? stride : call.k) {}

  // Rows [row0, row0 + rows), columns from k0 on.
  const float* get(int64_t row0, int64_t rows, int64_t k0) {
    if constexpr (!kBf16) return static_cast<const float*>(call_.x) + row0 * call_.k + k0;
    if (row0 != row0_ || k0 != k0_) {
      const int64_t columns = smaller(span_, call_.k - k0);
      for (int64_t r = 0; r < rows; ++r) {
        const uint16_t* from = static_cast<const uint16_t*>(call_.x) + (row0 + r) * call_.k + k0;
        float* to = buffer_ + r * stride_;
        int64_t c = 0;
        for (; c + V::kLanes <= columns; c += V::kLanes) V::store(to + c, V::widen(from + c));
        for (; c < columns; ++c) {
          const uint32_t wide = static_cast<uint32_t>(from[c]) << 16;
          __builtin_memcpy(to + c, &wide, 4);
        }
        for (; c < round_up(columns, kPanel); ++c) to[c] = 0.0f;
      }
      row0_ = row0;
      k0_ = k0;
    }
    return buffer_;
  }
  int64_t stride() const { return stride_; }

 private:
  const MatmulCall& call_;
  float* buffer_;
  int64_t span_;
  int64_t stride_;
  int64_t row0_ = -1;
  int64_t k0_ = -1;
};

// One row by kPanels panels: sums[kPanels][32].
template <class V, bool kBf16, int kPanels>
REPRISE_INLINE void multiply_row(const float* x, const unsigned char* const* panels, int64_t k, float* sums) {
  using Reg = typename V::Reg;
  constexpr int kVectors = kPanel / V::kLanes;
  Reg acc[kPanels][kVectors];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[p][v] = V::zero();
  for (int64_t at = 0; at < k; ++at) {
    const Reg xk = V::broadcast(x + at);
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        Reg wk;
        if constexpr (kBf16) {
          const unsigned char* from = panels[p] + at / 32 * 2048 + v * V::kLanes / 16 * 1024 +
                                      at % 32 / 2 * 64 + v * V::kLanes % 16 * 4;
          wk = at % 2 == 0 ? V::widen_even(from) : V::widen_odd(from);
        } else {
          wk = V::load(reinterpret_cast<const float*>(panels[p]) + at * kPanel + v * V::kLanes);
        }
        acc[p][v] = V::fma(xk, wk, acc[p][v]);
      }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) V::store(sums + p * kPanel + v * V::kLanes, acc[p][v]);
}

// One row of a small weight, which lies in a cache: a panel has too few chains of FMAs to keep the units
// busy, so several are taken at a time.
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
    multiply_row<V, kBf16, kPanels>(x, weights, k, sums);
    for (int p = 0; p < kPanels; ++p) store_panel(panels[p], call.bf16_out, sums + p * kPanel, 0, 1);
  }
  if constexpr (kPanels > 1)
    if (begin < end) multiply_small<V, kBf16, kPanels / 2>(call, x, k, begin, end);
}

template <class V, bool kBf16>
void multiply_panels(const MatmulCall& call, int64_t begin, int64_t end) {
  constexpr int64_t kLargestSpan = 16384;  // columns of x that are widened at a time
  constexpr int64_t kRowsAtOnce = 1008;  // rows that share one pass over the weights; a multiple of 6 and 12
  constexpr int64_t kXBytes = int64_t{384} << 10;  // of widened x for a pass: most of an L2 cache
  const int64_t k = kBf16 ? round_up(call.k, kPanel) : call.k;
  const int64_t span = smaller(k, kLargestSpan);
  const int64_t stride = span + 16;  // not a power of two, which would put all rows into one set of the cache
  const int64_t fitting = kBf16 ? smaller(kXBytes / (stride * 4), kRowsAtOnce) : kRowsAtOnce;
  const int64_t block_rows = smaller(call.rows, larger(1, fitting / V::kMostRows) * V::kMostRows);
  auto* sums = reinterpret_cast<float*>(call.scratch);
  Rows<V, kBf16> x(call, sums + block_rows * kPanel, span, stride);
  constexpr int64_t kSmall = 512;  // k
  if (call.rows == 1 && k <= kSmall) return multiply_small<V, kBf16>(call, x.get(0, 1, 0), k, begin, end);

  const int64_t weight_bytes = kBf16 ? 2 : 4;
  const bool streams = !kBf16 || call.rows <= V::kStreamRowsBf16;
  // Of multiply_all(): where all columns of a row fit into registers, one pass. Else short blocks while
  // memory is the limit, so that the weights come as one stream; with many rows, blocks that fill the L1
  // cache.
  const bool one_pass =
      V::vectors_of(static_cast<int>(smaller(call.rows, V::kMostRows + 1))) * V::kLanes == kPanel;
  const int64_t k_block = streams                      ? kStreamBlock
                          : one_pass                   ? span
                          : call.rows <= V::kSmallRows ? V::kSmallBlock
                                                       : V::kBlock;
  const int64_t fetch = one_pass ? kFetchAhead : k_block * kPanel * weight_bytes;

  for (int64_t row0 = 0; row0 < call.rows; row0 += block_rows) {
    const int64_t rows = smaller(block_rows, call.rows - row0);
    for (int64_t index = begin; index < end; ++index) {
      const Panel panel = find_panel(call, index, k * kPanel * weight_bytes);
      for (int64_t k0 = 0; k0 < k; k0 += span) {
        const float* from = x.get(row0, rows, k0);
        const int64_t columns = smaller(span, k - k0);
        for (int64_t at = 0; at < columns; at += k_block) {
          const unsigned char* w = panel.weights + (k0 + at) * kPanel * weight_bytes;
          const int64_t steps = smaller(k_block, columns - at);
          const bool resume = k0 + at > 0;
          if (streams)
            stream_all<V, kBf16>(rows, from + at, x.stride(), w, steps, sums, resume);
          else
            multiply_all<V>(rows, from + at, x.stride(), w, steps, sums, resume, fetch);
        }
      }
      store_panel(panel, call.bf16_out, sums, row0, rows);
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu

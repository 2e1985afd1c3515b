// The float FMA matmul, for any vector width: the body of the avx2 and avx512 levels, f32 and bf16. Included
// once by each per-ISA file (and by tests that emulate a level); everything here has internal linkage.
//
// Blocks of MR rows by 16 or 32 columns live in registers and walk a block of k; between blocks of k the sums
// rest in scratch as floats, which keeps their bits. bf16 weights are widened on the way (a shift for even k,
// a mask for odd), bf16 x once per range of panels.
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

#define REPRISE_INLINE inline __attribute__((always_inline))

// Bytes between the weights that are used and those that are fetched from memory for later.
inline constexpr int64_t kFetchAhead = 4096;

// sums[r][c] += x[r][0..steps) * w for MR rows and NV vectors of columns, from column 0 of `w`.
// x: floats, rows `stride` apart. w: f32 [steps][32], or bf16 blocks (pack.h). `fetch`: bytes ahead to
// prefetch.
template <class V, bool kBf16, int MR, int NV, bool kFetch>
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

  if constexpr (kBf16) {
    for (int64_t block = 0; block < steps; block += 32, x += 32, w += 2048) {
#pragma GCC unroll 2
      for (int pair = 0; pair < 16; ++pair) {
        const unsigned char* at = w + pair * 64;
        if constexpr (kFetch)
#pragma GCC unroll 2
          for (int line = 0; line < kLines; ++line) __builtin_prefetch(at + line * 1024 + fetch, 0, 3);
        Reg even[NV], odd[NV];
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const unsigned char* from = at + v * kLanes / 16 * 1024 + v * kLanes % 16 * 4;
          even[v] = V::widen_even(from);
          odd[v] = V::widen_odd(from);
        }
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r) {
          const Reg xr = V::broadcast(x + r * stride + pair * 2);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(xr, even[v], acc[r][v]);
        }
#pragma GCC unroll 16
        for (int r = 0; r < MR; ++r) {
          const Reg xr = V::broadcast(x + r * stride + pair * 2 + 1);
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(xr, odd[v], acc[r][v]);
        }
      }
    }
  } else {
#pragma GCC unroll 4
    for (int64_t k = 0; k < steps; ++k) {
      const unsigned char* at = w + k * kPanel * 4;
      if constexpr (kFetch)
#pragma GCC unroll 2
        for (int line = 0; line < kLines; ++line) __builtin_prefetch(at + line * 64 + fetch, 0, 3);
      Reg wk[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) wk[v] = V::load(reinterpret_cast<const float*>(at) + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < MR; ++r) {
        const Reg xr = V::broadcast(x + r * stride + k);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[r][v] = V::fma(xr, wk[v], acc[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) V::store(sums + r * kPanel + v * kLanes, acc[r][v]);
}

// One group of rows over all 32 columns: in one go where the registers allow, else 16 columns after 16.
template <class V, bool kBf16, int MR, bool kFetch>
__attribute__((noinline)) void multiply_rows(const float* x, int64_t stride, const unsigned char* w,
                                             int64_t steps, float* sums, bool resume, int64_t fetch) {
  constexpr int kAll = static_cast<int>(kPanel) / V::kLanes;
  if constexpr (MR <= V::kWideRows) {
    multiply_block<V, kBf16, MR, kAll, kFetch>(x, stride, w, steps, sums, resume, fetch);
  } else {
    for (int half = 0; half < 2; ++half)
      multiply_block<V, kBf16, MR, kAll / 2, kFetch>(x, stride, w + half * (kBf16 ? 1024 : 64), steps,
                                                     sums + half * 16, resume, fetch);
  }
}

template <class V, bool kBf16, bool kFetch, int MR>
void multiply_tail(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                   float* sums, bool resume, int64_t fetch) {
  if constexpr (MR > 0) {
    if (rows == MR)
      multiply_rows<V, kBf16, MR, kFetch>(x, stride, w, steps, sums, resume, fetch);
    else
      multiply_tail<V, kBf16, kFetch, MR - 1>(rows, x, stride, w, steps, sums, resume, fetch);
  }
}

// A block of k for all rows. Only the first group prefetches: the others find the weights in the cache.
template <class V, bool kBf16>
void multiply_all(int64_t rows, const float* x, int64_t stride, const unsigned char* w, int64_t steps,
                  float* sums, bool resume, int64_t fetch) {
  constexpr int kMax = V::kMaxRows;
  multiply_tail<V, kBf16, true, kMax>(smaller(rows, kMax), x, stride, w, steps, sums, resume, fetch);
  int64_t r = kMax;
  for (; r + kMax <= rows; r += kMax)
    multiply_rows<V, kBf16, kMax, false>(x + r * stride, stride, w, steps, sums + r * kPanel, resume, 0);
  if (r < rows)
    multiply_tail<V, kBf16, false, kMax - 1>(rows - r, x + r * stride, stride, w, steps, sums + r * kPanel,
                                             resume, 0);
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

template <class V, bool kBf16>
void multiply_panels(const MatmulCall& call, int64_t begin, int64_t end) {
  constexpr int64_t kLargestSpan = 16384;  // columns of x that are widened at a time
  constexpr int64_t kRowsAtOnce = 1008;  // rows that share one pass over the weights; a multiple of 6 and 12
  const int64_t k = kBf16 ? round_up(call.k, kPanel) : call.k;
  const int64_t span = smaller(k, kLargestSpan);
  const int64_t stride = span + 16;  // not a power of two, which would put all rows into one set of the cache
  const int64_t row_bytes = (kPanel + (kBf16 ? stride : 0)) * 4;
  const int64_t fitting = smaller(call.scratch_bytes / row_bytes, kRowsAtOnce) / V::kMaxRows * V::kMaxRows;
  const int64_t block_rows = smaller(call.rows, fitting);
  auto* sums = reinterpret_cast<float*>(call.scratch);
  Rows<V, kBf16> x(call, sums + block_rows * kPanel, span, stride);

  const int64_t weight_bytes = kBf16 ? 2 : 4;
  // Few rows read the weights from memory in one stream; more rows share a block that stays in the L1 cache.
  const bool wide = call.rows <= V::kWideRows;
  const int64_t k_block = wide ? span : V::kBlock;
  const int64_t fetch = wide ? kFetchAhead : V::kBlock * kPanel * weight_bytes;

  for (int64_t row0 = 0; row0 < call.rows; row0 += block_rows) {
    const int64_t rows = smaller(block_rows, call.rows - row0);
    for (int64_t index = begin; index < end; ++index) {
      const Panel panel = find_panel(call, index, k * kPanel * weight_bytes);
      for (int64_t k0 = 0; k0 < k; k0 += span) {
        const float* from = x.get(row0, rows, k0);
        const int64_t columns = smaller(span, k - k0);
        for (int64_t at = 0; at < columns; at += k_block)
          multiply_all<V, kBf16>(rows, from + at, x.stride(),
                                 panel.weights + (k0 + at) * kPanel * weight_bytes,
                                 smaller(k_block, columns - at), sums, k0 + at > 0, fetch);
      }
      store_panel(panel, call.bf16_out, sums, row0, rows);
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu

// What the per-ISA files of the matmul see: plain structs and nothing from the standard library, because an
// inline function that is compiled with AVX-512 flags here could replace the one that the rest of the program
// calls.
#pragma once

#include <stdint.h>

namespace reprise::kernels::cpu {

inline constexpr int64_t kPanel = 32;  // columns (outputs) of a panel; also the k of a block of a bf16 panel

struct MatmulSegment {
  const unsigned char* weights;  // packed
  const float* bias;             // [n] or null
  void* out;                     // [rows, n]
  int64_t n;
};

struct MatmulCall {
  const void* x;  // [rows, k]
  int64_t rows;
  int64_t k;
  bool bf16_out;
  int segment_count;
  MatmulSegment segments[4];
  unsigned char* scratch;  // 64-byte aligned, of this worker alone
  int64_t scratch_bytes;
};

// Computes the panels [begin, end), counted over the segments.
using MatmulFunction = void (*)(const MatmulCall& call, int64_t begin, int64_t end);

void matmul_f32_scalar(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_bf16_scalar(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_f32_avx2(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_bf16_avx2(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_f32_avx512(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_bf16_avx512(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_bf16_avx512_bf16(const MatmulCall& call, int64_t begin, int64_t end);
void matmul_bf16_amx(const MatmulCall& call, int64_t begin, int64_t end);

// Below: internal linkage, so that each per-ISA file has its own copy.
namespace {

[[maybe_unused]] inline int64_t round_up(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}
[[maybe_unused]] inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
[[maybe_unused]] inline int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

// Between two loads of weights: the compiler must not unroll and draw them out of the order of memory, which
// costs the CPU's prefetcher the stream (up to 8 % of a step's time on Zen 4).
[[maybe_unused]] inline __attribute__((always_inline)) void hold_order() {
  __asm__ volatile("" ::: "memory");
}

struct Panel {
  const unsigned char* weights;  // first byte of the panel
  const float* bias;             // of the panel's first column, or null
  unsigned char* out;            // row 0 of the panel's first column
  int64_t stride;                // columns of a row of out
  int columns;                   // 1 .. kPanel
};

[[maybe_unused]] inline Panel find_panel(const MatmulCall& call, int64_t index, int64_t panel_bytes) {
  const MatmulSegment* segment = call.segments;
  for (int64_t panels = round_up(segment->n, kPanel) / kPanel; index >= panels;
       panels = round_up(segment->n, kPanel) / kPanel) {
    index -= panels;
    ++segment;
  }
  const int64_t column = index * kPanel;
  return {segment->weights + index * panel_bytes, segment->bias == nullptr ? nullptr : segment->bias + column,
          static_cast<unsigned char*>(segment->out) + column * (call.bf16_out ? 2 : 4), segment->n,
          static_cast<int>(smaller(kPanel, segment->n - column))};
}

[[maybe_unused]] inline uint16_t round_to_bf16(float value) {  // as f32_to_bf16 of core/dtype.h
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// 32 floats to bf16.
[[maybe_unused]] inline void round_row(const float* row, void* to) {
  uint16_t rounded[kPanel];
  for (int c = 0; c < kPanel; ++c) rounded[c] = round_to_bf16(row[c]);
  __builtin_memcpy(to, rounded, sizeof(rounded));
}

// sums [rows][32] -> rows [row0, row0 + rows) of the panel's columns, bias added. `round` is round_row, or
// the same in instructions of the level.
template <typename Round>
inline void store_panel(const Panel& panel, bool bf16_out, const float* sums, int64_t row0, int64_t rows,
                        Round&& round) {
  const int64_t size = bf16_out ? 2 : 4;
  unsigned char* to = panel.out + row0 * panel.stride * size;
  for (int64_t r = 0; r < rows; ++r, sums += kPanel, to += panel.stride * size) {
    const float* row = sums;
    alignas(64) float biased[kPanel];
    // Without a bias nothing is added: -0 + 0 would change a bit.
    if (panel.bias != nullptr) {
      for (int c = 0; c < kPanel; ++c) biased[c] = sums[c] + (c < panel.columns ? panel.bias[c] : 0.0f);
      row = biased;
    }
    const bool whole = panel.columns == kPanel;
    if (bf16_out && whole) {
      round(row, to);
    } else if (bf16_out) {
      alignas(64) unsigned char rounded[kPanel * 2];
      round(row, rounded);
      __builtin_memcpy(to, rounded, static_cast<unsigned long>(panel.columns) * 2);
    } else if (whole) {
      __builtin_memcpy(to, row, kPanel * 4);
    } else {
      __builtin_memcpy(to, row, static_cast<unsigned long>(panel.columns) * 4);
    }
  }
}

[[maybe_unused]] inline void store_panel(const Panel& panel, bool bf16_out, const float* sums, int64_t row0,
                                         int64_t rows) {
  store_panel(panel, bf16_out, sums, row0, rows, round_row);
}

}  // namespace
}  // namespace reprise::kernels::cpu

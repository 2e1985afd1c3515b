// Packing is bound by memory: the source comes out of the page cache, the target goes to fresh pages. Both
// layouts are transpositions of 32-bit units (an f32, or a pair of bf16), done 4 x 4 with SSE2, which every
// x86-64 has.
#include "kernels/cpu/pack.h"

#include <xmmintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/error.h"

namespace reprise::kernels::cpu {
namespace {

constexpr int64_t kPanelRows = 32;

size_t panel_bytes(DType dtype, int64_t k) {
  return packed_size(packing_of(dtype), {kPanelRows, k}).panel_bytes;
}

// 4 rows of 4 units at `from`, rows `from_stride` units apart -> 4 columns of 4, `to_stride` units apart.
void transpose4(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  __m128 a = _mm_loadu_ps(from);
  __m128 b = _mm_loadu_ps(from + from_stride);
  __m128 c = _mm_loadu_ps(from + 2 * from_stride);
  __m128 d = _mm_loadu_ps(from + 3 * from_stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + to_stride, b);
  _mm_storeu_ps(to + 2 * to_stride, c);
  _mm_storeu_ps(to + 3 * to_stride, d);
}

// 32 rows x 16 pairs of k, as units -> one block [2][16][16] of a bf16 panel.
void pack_bf16_block(const float* from, int64_t stride, float* to) {
  for (int64_t row = 0; row < kPanelRows; row += 4)
    for (int64_t pair = 0; pair < 16; pair += 4)
      transpose4(from + row * stride + pair, stride, to + row / 16 * 256 + pair * 16 + row % 16, 16);
}

uint16_t to_bf16(float value) {
  return f32_to_bf16(value);
}
uint16_t to_bf16(uint16_t value) {
  return value;
}
float to_f32(float value) {
  return value;
}
float to_f32(uint16_t value) {
  return bf16_to_f32(value);
}

// Columns [k0, k0 + 32) of 32 rows as bf16, zero where there are no rows or columns.
template <typename T>
void copy_block(const T* rows, int64_t count, int64_t k, int64_t k0, uint16_t* block) {
  std::memset(block, 0, 32 * 32 * 2);
  for (int64_t r = 0; r < count; ++r)
    for (int64_t i = k0; i < std::min(k, k0 + 32); ++i) block[r * 32 + i - k0] = to_bf16(rows[r * k + i]);
}

template <typename T>
void pack_bf16_panel(const T* rows, int64_t count, int64_t k, std::byte* panel) {
  alignas(64) std::array<uint16_t, 32 * 32> block;
  for (int64_t k0 = 0; k0 < k; k0 += 32, panel += 2048) {
    float* to = reinterpret_cast<float*>(panel);
    if constexpr (sizeof(T) == 2) {
      // Whole blocks straight from the source. An odd k puts rows at odd halves of a unit, which loads don't
      // mind, but the stride in units must be whole.
      if (count == kPanelRows && k0 + 32 <= k && k % 2 == 0) {
        pack_bf16_block(reinterpret_cast<const float*>(rows + k0), k / 2, to);
        continue;
      }
    }
    copy_block(rows, count, k, k0, block.data());
    pack_bf16_block(reinterpret_cast<const float*>(block.data()), 16, to);
  }
}

template <typename T>
void pack_f32_panel(const T* rows, int64_t count, int64_t k, std::byte* panel) {
  float* to = reinterpret_cast<float*>(panel);
  int64_t i = 0;
  if constexpr (sizeof(T) == 4) {
    if (count == kPanelRows)
      for (; i + 4 <= k; i += 4)
        for (int64_t row = 0; row < kPanelRows; row += 4)
          transpose4(rows + row * k + i, k, to + i * kPanelRows + row, kPanelRows);
  }
  for (; i < k; ++i)
    for (int64_t row = 0; row < kPanelRows; ++row)
      to[i * kPanelRows + row] = row < count ? to_f32(rows[row * k + i]) : 0.0f;
}

template <typename T>
void pack(DType dtype, const T* rows, int64_t n0, int64_t n1, int64_t n, int64_t k, std::byte* packed) {
  REPRISE_CHECK(dtype == DType::f32 || dtype == DType::bf16, "packing to {}", name_of(dtype));
  REPRISE_CHECK(n0 % kPanelRows == 0 && (n1 % kPanelRows == 0 || n1 == n) && n0 <= n1 && n1 <= n,
                "rows {} to {} of {}", n0, n1, n);
  const size_t bytes = panel_bytes(dtype, k);
  std::byte* panel = packed + static_cast<size_t>(n0 / kPanelRows) * bytes;
  for (int64_t row = n0; row < n1; row += kPanelRows, panel += bytes) {
    const int64_t count = std::min(kPanelRows, n1 - row);
    const T* from = rows + (row - n0) * k;
    if (dtype == DType::bf16)
      pack_bf16_panel(from, count, k, panel);
    else
      pack_f32_panel(from, count, k, panel);
  }
}

}  // namespace

size_t packed_bytes(DType dtype, int64_t n, int64_t k) {
  return packed_size(packing_of(dtype), {n, k}).bytes();
}

void pack_rows(DType dtype, const float* rows, int64_t n0, int64_t n1, int64_t n, int64_t k,
               std::byte* packed) {
  pack(dtype, rows, n0, n1, n, k, packed);
}

void pack_rows(DType dtype, const uint16_t* bf16_rows, int64_t n0, int64_t n1, int64_t n, int64_t k,
               std::byte* packed) {
  pack(dtype, bf16_rows, n0, n1, n, k, packed);
}

void unpack_row(DType dtype, const std::byte* packed, int64_t row, int64_t k, void* out) {
  const std::byte* panel = packed + static_cast<size_t>(row / kPanelRows) * panel_bytes(dtype, k);
  const int64_t column = row % kPanelRows;
  if (dtype == DType::bf16) {
    const std::byte* from = panel + column / 16 * 1024 + column % 16 * 4;
    auto* to = static_cast<std::byte*>(out);
    for (int64_t i = 0; i < k; i += 2)  // a pair of k at a time
      std::memcpy(to + i * 2, from + i / 32 * 2048 + i % 32 / 2 * 64, i + 2 <= k ? 4 : 2);
  } else {
    const float* from = reinterpret_cast<const float*>(panel) + column;
    auto* to = static_cast<float*>(out);
    for (int64_t i = 0; i < k; ++i) to[i] = from[i * kPanelRows];
  }
}

}  // namespace reprise::kernels::cpu

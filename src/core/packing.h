// How the elements of a tensor lie: row-major, or as a matmul weight in panels, the form that a device's
// kernels read (core/weight_packer.h makes it). A packed weight [N, K] is one stream: its panels of some
// rows each, one behind the other, each padded to whole rows and to the columns that its format asks for.
// So whole panels are a range of bytes. Of a stack [experts, N, K] the streams stand one behind the other.
//
// Where elements share scales, those stand inside of the panel: a matmul still reads one stream, and a
// launch over several weights needs no more buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/dtype.h"
#include "core/shape.h"

namespace reprise {

// The order of the elements in a panel. One value for each that a kernel reads.
enum class PanelFormat : uint8_t {
  none,        // row-major, no panels
  f32_rows,    // 32 rows, [K][32] (kernels/cpu/pack.h)
  bf16_pairs,  // 32 rows, pairs of k, K padded to 32 (kernels/cpu/pack.h)
};

struct Packing {
  PanelFormat format = PanelFormat::none;
  DType scale =
      DType::f32;      // type of the scales; f32 where there are none, so that equal packings compare so
  uint16_t group = 0;  // elements along K that share a scale; 0: no scales

  constexpr bool is_packed() const { return format != PanelFormat::none; }
  constexpr bool operator==(const Packing&) const = default;
};

inline constexpr Packing kRowMajor{};
inline constexpr Packing kF32Panels{.format = PanelFormat::f32_rows};
inline constexpr Packing kBf16Panels{.format = PanelFormat::bf16_pairs};

struct PackedSize {
  int64_t matrices = 1;    // experts of a stack
  int64_t panels = 0;      // of one matrix
  int64_t panel_rows = 0;  // rows of a panel
  size_t panel_bytes = 0;  // scales included

  size_t matrix_bytes() const { return static_cast<size_t>(panels) * panel_bytes; }
  size_t bytes() const { return static_cast<size_t>(matrices) * matrix_bytes(); }
};

// Of a weight [N, K] or [experts, N, K] in panels. Throws InternalError for another shape or packing.
PackedSize packed_size(const Packing& packing, const Shape& shape);

// "row-major", "panels", "panels/32xf16": groups of 32 and their scales. A format's word stands for one
// format of each element type, so the text of a tensor's type says both.
std::string to_string(const Packing& packing);
// The packing of that text for elements of `dtype`; nothing where there is none.
std::optional<Packing> parse_packing(std::string_view text, DType dtype);

}  // namespace reprise

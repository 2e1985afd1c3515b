#include "core/packing.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "core/error.h"

namespace reprise {
namespace {

struct FormatRow {
  PanelFormat format;
  std::string_view word;
  DType dtype;         // of the elements
  int64_t rows;        // of a panel
  int64_t k_multiple;  // K is padded to
};
constexpr std::array kFormats = {
    FormatRow{PanelFormat::f32_rows, "panels", DType::f32, 32, 1},
    FormatRow{PanelFormat::bf16_pairs, "panels", DType::bf16, 32, 32},
};

const FormatRow& row_of(PanelFormat format) {
  for (const FormatRow& row : kFormats)
    if (row.format == format) return row;
  throw InternalError(fmt::format("no panel format {}", static_cast<int>(format)));
}

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

PackedSize packed_size(const Packing& packing, const Shape& shape) {
  const int rank = shape.rank();
  REPRISE_CHECK(packing.is_packed() && (rank == 2 || rank == 3) && shape.elements().is_constant(),
                "the packed size of {} {}", to_string(packing), to_string(shape));
  const FormatRow& format = row_of(packing.format);
  const int64_t n = shape[rank - 2].constant;
  const int64_t k = ceil_div(shape[rank - 1].constant, format.k_multiple) * format.k_multiple;
  const int64_t scales = packing.group == 0 ? 0 : ceil_div(k, packing.group);
  const size_t row_bytes =
      static_cast<size_t>(k) * size_of(format.dtype) + static_cast<size_t>(scales) * size_of(packing.scale);
  return {.matrices = rank == 3 ? shape[0].constant : 1,
          .panels = ceil_div(n, format.rows),
          .panel_rows = format.rows,
          .panel_bytes = static_cast<size_t>(format.rows) * row_bytes};
}

std::string to_string(const Packing& packing) {
  if (!packing.is_packed()) return "row-major";
  const std::string_view word = row_of(packing.format).word;
  return packing.group == 0 ? std::string(word)
                            : fmt::format("{}/{}x{}", word, packing.group, short_name_of(packing.scale));
}

std::optional<Packing> parse_packing(std::string_view text, DType dtype) {
  if (text == to_string(kRowMajor)) return kRowMajor;
  const size_t slash = text.find('/');
  Packing packing;
  for (const FormatRow& row : kFormats)
    if (row.word == text.substr(0, slash) && row.dtype == dtype) packing.format = row.format;
  if (!packing.is_packed()) return std::nullopt;
  if (slash == std::string_view::npos) return packing;
  const char* const end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data() + slash + 1, end, packing.group);
  if (failed != std::errc() || packing.group == 0 || stop == end || *stop != 'x') return std::nullopt;
  for (const DType scale : {DType::f32, DType::f16, DType::bf16})
    if (std::string_view(stop + 1, end) == short_name_of(scale)) {
      packing.scale = scale;
      return packing;
    }
  return std::nullopt;
}

}  // namespace reprise

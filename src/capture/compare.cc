#include "capture/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace reprise::capture {
namespace {

std::string difference_of(const RecordedBuffer& a, const RecordedBuffer& b) {
  if (place_of(a) != place_of(b)) return fmt::format("{} and {}", place_of(a), place_of(b));
  if (a.extent != b.extent) return fmt::format("{} and {} bytes", to_string(a.extent), to_string(b.extent));
  if (a.access != b.access) return "other access";
  if (a.address != b.address)
    return fmt::format("{} at {} and {}", place_of(a), fmt::ptr(a.address), fmt::ptr(b.address));
  return "";
}

std::string text_of(const Grid& grid) {
  return fmt::format("({}) / {} x ({}) / {} blocks of {} threads, {} shared bytes, attributes {}",
                     to_string(grid.x), grid.x_per_block, to_string(grid.y), grid.y_per_block, grid.threads,
                     grid.shared_bytes, grid.attributes);
}

std::string difference_of(const Recording& a, const RecordedLaunch& in_a, const Recording& b,
                          const RecordedLaunch& in_b) {
  if (in_a.kernel.name != in_b.kernel.name || in_a.kernel.run != in_b.kernel.run ||
      in_a.kernel.module_function != in_b.kernel.module_function)
    return fmt::format("kernel: {} and {}", in_a.kernel.name, in_b.kernel.name);
  if (in_a.op != in_b.op) return fmt::format("op: {} and {}", in_a.op, in_b.op);
  if (in_a.layer != in_b.layer) return fmt::format("layer: {} and {}", in_a.layer, in_b.layer);
  if (in_a.dims.items != in_b.dims.items)
    return fmt::format("dims: items {} and {}", to_string(in_a.dims.items), to_string(in_b.dims.items));
  if (in_a.dims.grain != in_b.dims.grain)
    return fmt::format("dims: grain {} and {}", in_a.dims.grain, in_b.dims.grain);
  if (in_a.dims.rows != in_b.dims.rows || in_a.dims.rows_per_block != in_b.dims.rows_per_block)
    return fmt::format("dims: rows {} by {} and {} by {}", to_string(in_a.dims.rows),
                       in_a.dims.rows_per_block, to_string(in_b.dims.rows), in_b.dims.rows_per_block);
  if (in_a.dims.grid != in_b.dims.grid)
    return fmt::format("dims: grid {} and {}", text_of(in_a.dims.grid), text_of(in_b.dims.grid));
  const auto buffers_a = a.buffers_of(in_a), buffers_b = b.buffers_of(in_b);
  if (buffers_a.size() != buffers_b.size())
    return fmt::format("buffers: {} and {} of them", buffers_a.size(), buffers_b.size());
  for (size_t i = 0; i < buffers_a.size(); ++i)
    if (const std::string what = difference_of(buffers_a[i], buffers_b[i]); !what.empty())
      return fmt::format("buffer {}: {}", i, what);
  if (in_a.scalar_bytes != in_b.scalar_bytes)
    return fmt::format("scalars: {} and {} bytes", in_a.scalar_bytes, in_b.scalar_bytes);
  const std::byte* scalars = a.scalars_of(in_a);
  const auto differ = std::mismatch(scalars, scalars + in_a.scalar_bytes, b.scalars_of(in_b)).first;
  if (differ != scalars + in_a.scalar_bytes) return fmt::format("scalars at byte {}", differ - scalars);
  return "";
}

bool same_op(const RecordedLaunch& a, const RecordedLaunch& b) {
  return a.op == b.op && a.layer == b.layer;
}

// Whether recording `a` still launches at `index` for the op of the launch before, which `b` has left: the op
// that is there instead is not to blame.
bool goes_on(std::span<const RecordedLaunch> a, std::span<const RecordedLaunch> b, size_t index) {
  return index > 0 && same_op(a[index], a[index - 1]) && !same_op(a[index], b[index]);
}

}  // namespace

std::optional<Difference> first_difference(const Recording& a, const Recording& b) {
  const auto in_a = a.launches(), in_b = b.launches();
  const size_t common = std::min(in_a.size(), in_b.size());
  for (size_t i = 0; i < common; ++i) {
    for (const bool swapped : {false, true})
      if (const auto& [more, less] = swapped ? std::pair(in_b, in_a) : std::pair(in_a, in_b);
          goes_on(more, less, i))
        return Difference{i, std::string(more[i].op), std::string(more[i].layer),
                          std::string(more[i].kernel.name),
                          "count: the op launches more often in one than in the other"};
    if (std::string what = difference_of(a, in_a[i], b, in_b[i]); !what.empty())
      return Difference{i, std::string(in_a[i].op), std::string(in_a[i].layer),
                        std::string(in_a[i].kernel.name), std::move(what)};
  }
  if (in_a.size() == in_b.size()) return std::nullopt;
  const RecordedLaunch& extra = in_a.size() > common ? in_a[common] : in_b[common];
  return Difference{common, std::string(extra.op), std::string(extra.layer), std::string(extra.kernel.name),
                    fmt::format("count: {} and {} launches", in_a.size(), in_b.size())};
}

}  // namespace reprise::capture

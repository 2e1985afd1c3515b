#include "weights/tensor_info.h"

#include <fmt/ranges.h>

namespace reprise::weights {

int64_t TensorInfo::elements() const {
  int64_t product = 1;
  for (int64_t size : shape) product *= size;
  return product;
}

int64_t TensorInfo::rows() const {
  int64_t product = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) product *= shape[i];
  return product;
}

int64_t TensorInfo::row_bytes() const {
  const StoredTypeTraits& traits = traits_of(type);
  return columns() / traits.block * traits.bytes;
}

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

int64_t stored_bytes(StoredType type, std::span<const int64_t> shape) {
  constexpr int64_t kMax = int64_t{1} << 62;
  const StoredTypeTraits& traits = traits_of(type);
  int64_t bytes = 1;
  bool empty = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    int64_t size = shape[i];
    if (size < 0) return -1;
    if (i + 1 == shape.size()) {
      if (size % traits.block != 0) return -1;
      size /= traits.block;
    }
    if (size == 0) {
      empty = true;
      continue;
    }
    if (bytes > kMax / size) return -1;
    bytes *= size;
  }
  if (shape.empty() && traits.block != 1) return -1;
  if (bytes > kMax / traits.bytes) return -1;
  return empty ? 0 : bytes * traits.bytes;
}

}  // namespace reprise::weights

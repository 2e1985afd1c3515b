// What a checkpoint says about one tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weights/stored_type.h"

namespace reprise::weights {

// Shapes are row-major, the last dimension contiguous: a projection is [out features, in features].
struct TensorInfo {
  StoredType type = StoredType::f32;
  std::vector<int64_t> shape;

  int64_t elements() const;
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  // Product of every dimension but the last: a vector is one row.
  int64_t rows() const;
  int64_t row_bytes() const;
};

// "[512, 64]"
std::string shape_text(std::span<const int64_t> shape);

// Bytes of `shape` stored as `type`, or -1 when the product overflows 2^62 or a row is no whole number of
// blocks.
int64_t stored_bytes(StoredType type, std::span<const int64_t> shape);

// A tensor inside a mapped file.
struct FileTensor {
  std::string name;
  TensorInfo info;
  std::span<const std::byte> data;  // any alignment
};

}  // namespace reprise::weights

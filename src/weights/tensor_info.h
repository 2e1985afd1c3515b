// Type, shape and place of one tensor of a checkpoint. Readers of files (safetensors.h, gguf.h) fill it in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weights/stored_type.h"

namespace reprise::weights {

// Shapes are row-major, the last dimension contiguous, whatever order the file lists them in: the weight of a
// linear layer is [out features, in features].
//
// The members don't check: a reader first asks stored_bytes(), which refuses negative and too large
// dimensions.
struct TensorInfo {
  StoredType type = StoredType::f32;
  std::vector<int64_t> shape;

  int64_t elements() const;
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  // Product of every dimension but the last: a vector is one row.
  int64_t rows() const;
  int64_t row_bytes() const;  // of one row as it is stored
};

// "[512, 64]"
std::string shape_text(std::span<const int64_t> shape);

// Bytes of `shape` stored as `type`; -1 for a negative dimension, for more than 2^62 bytes, and where a row
// is not a whole number of blocks (the unit of a quantised type, stored_type.h).
int64_t stored_bytes(StoredType type, std::span<const int64_t> shape);

// A tensor inside a mapped file.
struct FileTensor {
  std::string name;
  TensorInfo info;
  std::span<const std::byte> data;  // stored_bytes() of them, any alignment; valid while the file is mapped
};

}  // namespace reprise::weights

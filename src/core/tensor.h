// A typed, shaped, contiguous view of a buffer: what model code passes between ops. Copying one copies the
// handle.
#pragma once

#include <span>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/packing.h"
#include "core/shape.h"

namespace reprise {

struct Tensor {
  BufferRef buffer;
  int64_t offset = 0;  // bytes from the start of the buffer
  DType dtype = DType::f32;
  Packing packing = kRowMajor;
  Shape shape;  // of a packed weight too [N, K] or [experts, N, K]

  explicit operator bool() const { return static_cast<bool>(buffer); }
  std::byte* data() const { return buffer->data + offset; }
  Dim extent() const {  // bytes
    if (packing.is_packed()) return static_cast<int64_t>(packed_size(packing, shape).bytes());
    return shape.elements() * static_cast<int64_t>(size_of(dtype));
  }

  // Elements as the host sees them. Only for buffers that the host owns at that moment (inputs before a step,
  // results after it): while recording, use Stream::read_back, which refuses.
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
};

}  // namespace reprise

// A typed, shaped, contiguous view of a buffer: what model code passes between ops. Copying one copies the
// handle.
#pragma once

#include <span>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/shape.h"

namespace reprise {

enum class Layout : uint8_t {
  row_major,
  panels,  // a matmul weight packed for the kernels of one ISA (kernels/cpu/matmul.h says how); shape stays
           // [N, K]
};

struct Tensor {
  BufferRef buffer;
  int64_t offset = 0;  // bytes from the start of the buffer
  DType dtype = DType::f32;
  Layout layout = Layout::row_major;
  Shape shape;

  explicit operator bool() const { return static_cast<bool>(buffer); }
  std::byte* data() const { return buffer->data + offset; }
  Dim extent() const { return shape.elements() * static_cast<int64_t>(size_of(dtype)); }  // bytes

  // Elements as the host sees them. Only for buffers that the host owns at that moment (inputs before a step,
  // results after it): while recording, use Stream::read_back, which refuses.
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }
};

}  // namespace reprise

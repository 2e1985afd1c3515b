// Tensors that have a dtype and a shape but no memory: arguments for asking an op about types, launches and
// workspace without running it.
#pragma once

#include "graph/graph.h"

namespace reprise::graph {

class NoStorage final : public BufferOwner {
 public:
  NoStorage() { buffer_.owner = this; }
  NoStorage(const NoStorage&) = delete;
  NoStorage& operator=(const NoStorage&) = delete;
  void release(Buffer&) override {}

  // Not to outlive this.
  Tensor tensor(const Value& value) {
    return {.buffer = BufferRef(&buffer_),
            .offset = 0,
            .dtype = value.dtype,
            .packing = value.packing,
            .shape = value.shape};
  }

 private:
  Buffer buffer_;
};

}  // namespace reprise::graph

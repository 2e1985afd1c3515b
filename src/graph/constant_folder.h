// Runs nodes whose inputs are all constants, once, at start-up; what they give becomes weights.
#pragma once

#include "core/arena.h"
#include "graph/passes/pass.h"

namespace reprise::graph {

// Graphs that use the results must not outlive this. Thread contract: the stream's thread.
class EagerFolder final : public ConstantFolder {
 public:
  // `stream` runs (it doesn't record) and outlives this.
  explicit EagerFolder(Stream& stream)
      : stream_(stream), store_(BufferKind::weight, stream.device().memory()) {}

  // Throws Error where an output's shape isn't constant or its tensors are missing.
  std::vector<Tensor> fold(const Graph& graph, const Node& node) override;
  Tensor constant(DType dtype, const Shape& shape, const void* bytes) override;

  size_t bytes() const { return store_.bytes(); }  // that the constants hold

 private:
  Stream& stream_;
  HeapStore store_;
};

}  // namespace reprise::graph

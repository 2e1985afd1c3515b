// Runs nodes whose inputs are all constants, once, at start-up; what they give becomes weights. The graphs of one
// backend fold much the same nodes: what was folded before is given again.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "graph/passes/pass.h"

namespace reprise::graph {

// Graphs that use the results must not outlive this. Thread contract: the stream's thread.
class EagerFolder final : public ConstantFolder {
 public:
  // `stream` runs (it doesn't record) and outlives this.
  explicit EagerFolder(Stream& stream)
      : stream_(stream), store_(BufferKind::weight, stream.device().memory()) {}
  // Dry: nothing runs and no page is touched; addresses and bytes() are as they would be.
  EagerFolder(Stream& stream, Dry) : EagerFolder(stream) { dry_ = true; }

  // Throws Error where an output's shape isn't constant or its tensors are missing.
  std::vector<Tensor> fold(const Graph& graph, const Node& node) override;
  Tensor constant(DType dtype, const Shape& shape, const void* bytes) override;

  size_t bytes() const { return store_.bytes(); }  // that the constants hold

 private:
  struct Constant {
    std::vector<std::byte> bytes;
    Tensor tensor;
  };
  struct Folded {
    const ops::OpSchema* schema;
    std::vector<std::pair<const Buffer*, int64_t>> inputs;  // and their offsets
    std::vector<ops::AttrValue> attrs;
    std::vector<Tensor> outputs;
  };

  Stream& stream_;
  HeapStore store_;
  bool dry_ = false;
  std::vector<Constant> constants_;
  std::vector<Folded> folded_;
};

}  // namespace reprise::graph

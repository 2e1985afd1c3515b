// Makes the static graph: calls a model's own code once, with a dispatcher that adds a node for each op
// instead of running it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// Names tensors from outside that `inputs` doesn't: weights by their checkpoint's names. "" where it can't
// say; then the graph numbers them.
using TensorNamer = std::function<std::string(const Tensor&)>;

// `body` is the model's code; what it returns becomes the graph's outputs. Tensors from outside become
// inputs, weights or state by their buffer's kind. Throws CaptureError where the code looks at a value
// (data-dependent control flow), naming the op that made it, its layer and a fix; Error where it takes a
// view of an intermediate, writes what isn't state, or uses what another step computed; and whatever the code
// throws. Tensors that ops give to `body` must not outlive it.
Graph trace(std::string name, const std::vector<NamedTensor>& inputs, const TensorNamer& namer,
            const std::function<std::vector<NamedTensor>()>& body);

}  // namespace reprise::graph

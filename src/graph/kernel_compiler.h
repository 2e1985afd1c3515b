// Who turns groups of nodes into generated kernels (level 2). The graph knows only this interface: a compiler
// is injected by whoever links one; without it level 2 is refused and levels 0 and 1 are complete.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

// Nodes that may run as one kernel, ascending.
struct FusionGroup {
  std::vector<NodeId> nodes;
};

class KernelCompiler {
 public:
  virtual ~KernelCompiler() = default;
  virtual std::string_view name() const = 0;  // "llvm", "nvrtc"
  // Whether `group` can become one kernel that computes the same, within level 2's tolerance.
  virtual bool accepts(const Graph& graph, const FusionGroup& group) const = 0;
  // An op whose launch runs the generated kernel, its inputs and outputs those of the group in order; owned
  // by the compiler. Throws Error where the tool chain fails; the group then runs node by node.
  virtual const ops::OpSchema& compile(const Graph& graph, const FusionGroup& group) = 0;
};

}  // namespace reprise::graph

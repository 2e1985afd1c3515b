// Interface of a compiler that turns groups of nodes into generated kernels (level 2). A program that links
// one hands it in; no build of Reprise does today, so level 2 is refused. Levels 0 and 1 don't need it.
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

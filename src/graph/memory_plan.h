// Turns lifetimes into constant offsets in one arena for the largest T, S and R, so that the bytes of every step
// are known before anything is allocated. Greedy by size, best fit among the values alive at the same time
// (as in TensorFlow Lite's planner: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
// Inference", 2020).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace reprise::graph {

// Memory that one node needs while it runs, beside its outputs (attention's partial sums). A node that asks
// more than once has as many entries, in the order in which it asks.
struct Workspace {
  NodeId node;
  size_t bytes;
};

struct Placement {
  size_t offset = 0;  // bytes, 64-aligned
  size_t bytes = 0;
  NodeId first = kNone;   // node that defines it
  NodeId last = kNone;    // last node that uses it; the number of nodes where the graph returns it
  ValueId value = kNone;  // kNone: workspace of node `first`
};

struct MemoryPlan {
  StepSizes largest;
  size_t bytes = 0;                   // of the arena
  std::vector<Placement> placements;  // of values with storage of their own, and workspaces
  // By ValueId: the placement whose storage it has; kNone: not in the arena (what comes from outside, and
  // versions of it).
  std::vector<int32_t> placement_of;
};

// `graph` is sound (verify.h).
MemoryPlan plan_memory(const Graph& graph, StepSizes largest, const std::vector<Workspace>& workspaces);

// The most bytes that any one node finds alive: no plan needs fewer.
size_t live_bytes(const MemoryPlan& plan);

// Lines of what is wrong: two placements that live at once and overlap, one that is too small, misaligned or
// beyond the arena, a result without storage. Independent of how the plan was made.
std::vector<std::string> problems_of(const MemoryPlan& plan, const Graph& graph);

}  // namespace reprise::graph

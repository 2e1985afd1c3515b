// Walks a graph: one launch of each op through the stream, outputs at their planned offsets. Everything that
// can be known before is prepared, so a step allocates nothing. While the stream records, the same walk makes
// the recording.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "graph/graph.h"
#include "graph/memory_plan.h"

namespace reprise::graph {

// Workspace of every node at these sizes, found by asking the ops without running them.
std::vector<Workspace> measure_workspaces(const Graph& graph, StepSizes largest, Stream& stream);

class Executor final : private ops::WorkspaceAllocator {
 public:
  // `arena` holds at least plan.bytes and outlives this; null: a dry executor, whose launches may only be
  // recorded.
  Executor(Graph graph, MemoryPlan plan, std::byte* arena, Stream& stream);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  const Graph& graph() const { return graph_; }
  const MemoryPlan& plan() const { return plan_; }

  // All nodes, or those of [begin, end), for the sizes that the stream has.
  void run();
  void run(NodeId begin, NodeId end);

  // Output of the last run, or the tensor of any value (for checks). Shapes are symbolic.
  const Tensor& output(std::string_view name) const;
  const Tensor& tensor(ValueId value) const;

 private:
  Tensor workspace(DType dtype, const Shape& shape) override;

  Graph graph_;
  MemoryPlan plan_;
  Stream& stream_;
  std::vector<Tensor> tensors_;  // by ValueId
  // ... implementation's own
};

}  // namespace reprise::graph

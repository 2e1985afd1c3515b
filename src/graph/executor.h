// Walks a graph: one launch of each op through the stream, outputs at their planned offsets. Everything that
// can be known before is prepared, so a step allocates nothing. While the stream records, the same walk makes
// the recording.
#pragma once

#include <cstddef>
#include <deque>
#include <string_view>
#include <vector>

#include "core/arena.h"
#include "graph/graph.h"
#include "graph/memory_plan.h"
#include "ops/launch_table.h"

namespace reprise::graph {

// Workspace of every node at these sizes, found by asking the ops without running them: by its launch's
// plan_workspace, or else, where the op can be captured, by its launch function while `stream` records; one
// that then breaks a rule of captures has what it asked for until that point. `stream` doesn't record yet,
// and its sizes are those of `largest` afterwards.
std::vector<Workspace> measure_workspaces(const Graph& graph, StepSizes largest, Stream& stream);

// Thread contract: the stream's thread.
class Executor final : private ops::WorkspaceAllocator, private BufferOwner {
 public:
  // `arena` holds at least plan.bytes, is 64-byte aligned, and outlives this; null: a dry executor, whose
  // launches may only be recorded. The graph's inputs, weights and state have tensors (a graph that was
  // parsed has none), which outlive this as well.
  Executor(Graph graph, MemoryPlan plan, std::byte* arena, Stream& stream);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  const Graph& graph() const { return graph_; }
  const MemoryPlan& plan() const { return plan_; }

  // All nodes, or those of [begin, end), for the sizes that the stream has: none above plan().largest.
  void run();
  void run(NodeId begin, NodeId end);

  // Output of the last run, or the tensor of any value (for checks). Shapes are symbolic. Throws Error where
  // the graph has no such output.
  const Tensor& output(std::string_view name) const;
  const Tensor& tensor(ValueId value) const { return tensors_[static_cast<size_t>(value)]; }

 private:
  struct Step {
    ops::OpCall call;
    ops::OpLaunch launch;
    std::array<Tensor, ops::Outputs::kMax> outputs;
    size_t output_count = 0;
    size_t first_workspace = 0;  // into workspaces_; ends where the next step's begin
  };

  Tensor workspace(DType dtype, const Shape& shape) override;
  void release(Buffer&) override {}
  void seed_fault(NodeId node, const Step& step);
  BufferRef place(const Placement& placement, std::byte* arena);

  Graph graph_;
  MemoryPlan plan_;
  Stream& stream_;
  bool dry_;
  std::deque<Buffer> buffers_;
  std::vector<Tensor> tensors_;        // by ValueId
  std::vector<BufferRef> workspaces_;  // in the order of the nodes
  std::vector<Step> steps_;            // by NodeId
  size_t next_workspace_ = 0;
  size_t end_workspace_ = 0;
};

}  // namespace reprise::graph

// A walk over a graph allocates nothing: counted by replacing operator new in this test program.
#include <gtest/gtest.h>

#include "device/cpu/cpu_device.h"
#include "graph/executor.h"
#include "tests/count_new.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

TEST(Allocation, AWalkAllocatesNothing) {
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  const auto model = models::load_model(step_config("Qwen3ForCausalLM"), nullptr, DType::bf16, team, device);
  StepBuffers buffers(*model, StepBuffers::kLargest, 256);  // attention in partitions: with workspaces
  const Graph graph = trace_model(*model, buffers);
  const MemoryPlan plan =
      plan_memory(graph, StepBuffers::kLargest, measure_workspaces(graph, StepBuffers::kLargest, stream));
  const MemoryRange memory(host_memory(), plan.bytes);
  Executor executor(graph, plan, memory.data(), stream);
  int64_t before = 0;
  for (int64_t position = 0; position < 80; ++position) {
    buffers.clear();
    buffers.add(0, position, 1);
    buffers.add(2, position, 1);
    stream.set_sizes(buffers.sizes());
    if (position == 2) before = allocations();
    executor.run();
  }
  EXPECT_EQ(allocations() - before, 0);
  const Graph copy = graph;
  EXPECT_GT(allocations(), before) << "the count works";
}

}  // namespace
}  // namespace reprise::graph

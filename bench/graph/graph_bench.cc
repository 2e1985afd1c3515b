// What a graph costs at start-up and in each step, at the shape of Qwen3-0.6B (28 layers): tracing, text,
// checks and planning once; the executor's walk without its kernels in every step.
#include <benchmark/benchmark.h>

#include "device/cpu/cpu_device.h"
#include "graph/constant_folder.h"
#include "graph/executor.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "tests/graph/step_model.h"

namespace reprise::graph {
namespace {

constexpr StepSizes kLargest{2048, 64, 64};

struct Model06b {
  HollowModel hollow{config_06b(), DType::bf16};
  StepBuffers buffers{*hollow.model, kLargest, 2048, 32768};
  ThreadTeam team{1};
  CpuDevice device{team, Isa::scalar};
  Stream stream{device};
  Graph graph = trace_model(*hollow.model, buffers);
};

Model06b& model() {
  static Model06b model;
  return model;
}

class Discard final : public LaunchSink {
 public:
  void append(const Launch& launch) override {
    const void* scalars = launch.scalars;
    benchmark::DoNotOptimize(scalars);  // of something const it is deprecated
  }
  std::string_view last_kernel() const override { return {}; }
};

void trace_graph(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(trace_model(*model().hollow.model, model().buffers));
  state.counters["nodes"] = static_cast<double>(model().graph.nodes.size());
}
BENCHMARK(trace_graph)->Unit(benchmark::kMicrosecond);

void verify_graph(benchmark::State& state) {
  for (auto _ : state) verify(model().graph, "nothing", &model().graph);
}
BENCHMARK(verify_graph)->Unit(benchmark::kMicrosecond);

void print_graph(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(print(model().graph));
}
BENCHMARK(print_graph)->Unit(benchmark::kMicrosecond);

void parse_graph(benchmark::State& state) {
  const std::string text = print(model().graph);
  for (auto _ : state) benchmark::DoNotOptimize(parse(text));
}
BENCHMARK(parse_graph)->Unit(benchmark::kMicrosecond);

void measure_and_plan(benchmark::State& state) {
  size_t live = 0, bytes = 0;
  for (auto _ : state) {
    const MemoryPlan plan =
        plan_memory(model().graph, kLargest, measure_workspaces(model().graph, kLargest, model().stream));
    live = live_bytes(plan);
    bytes = plan.bytes;
  }
  state.counters["arena_bytes"] = static_cast<double>(bytes);
  state.counters["live_bytes"] = static_cast<double>(live);
}
BENCHMARK(measure_and_plan)->Unit(benchmark::kMicrosecond);

// All that level 1 does before it can run: trace, passes with their checks, workspaces, plan, executor.
void everything(benchmark::State& state) {
  size_t nodes = 0;
  for (auto _ : state) {
    EagerFolder folder(model().stream);
    Graph graph = trace_model(*model().hollow.model, model().buffers);
    PassContext context{.folder = &folder, .max_model_len = kLargest.tokens};
    run_passes(graph, context);
    nodes = graph.nodes.size();
    MemoryPlan plan = plan_memory(graph, kLargest, measure_workspaces(graph, kLargest, model().stream));
    benchmark::DoNotOptimize(Executor(std::move(graph), std::move(plan), nullptr, model().stream));
  }
  state.counters["nodes"] = static_cast<double>(nodes);
}
BENCHMARK(everything)->Unit(benchmark::kMicrosecond);

void prepare_executor(benchmark::State& state) {
  const MemoryPlan plan = plan_memory(model().graph, kLargest, {});
  for (auto _ : state) benchmark::DoNotOptimize(Executor(model().graph, plan, nullptr, model().stream));
}
BENCHMARK(prepare_executor)->Unit(benchmark::kMicrosecond);

// Each node's launch up to the stream, which discards it.
void walk(benchmark::State& state) {
  Executor executor(model().graph, plan_memory(model().graph, kLargest, {}), nullptr, model().stream);
  Discard sink;
  model().stream.set_sizes({1, 1});
  model().stream.begin_recording(sink);
  for (auto _ : state) executor.run();
  model().stream.end_recording();
  state.counters["nodes"] = static_cast<double>(model().graph.nodes.size());
}
BENCHMARK(walk)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace reprise::graph

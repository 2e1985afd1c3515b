// What a replay costs beside its kernels: empty ones, in a chain and independent; and the cost of a capture
// of the size of a 28-layer model.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>

#include "core/arena.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/team_replay.h"
#include "device/cpu/worker_choice.h"

namespace reprise::capture {
namespace {

struct None {};
const Kernel kEmpty{"empty", [](const KernelContext&, int64_t, int64_t) {}};

enum Topology { chain, independent, shared_chain, shared_and_small };

// shared_chain: nodes in 16 chunks each, so that every one of them is handed over between the workers;
// shared_and_small: one of those, then two in one chunk, as a model's decode step has them.
Recording record(Stream& stream, const Tensor& rows, int64_t nodes, Topology topology) {
  Recorder recorder;
  stream.begin_recording(recorder);
  for (int64_t i = 0; i < nodes; ++i) {
    Tensor row = rows;
    row.shape = Shape{16};
    if (topology == independent) row.offset = i * 64;
    const bool shared = topology == shared_chain || (topology == shared_and_small && i % 3 == 0);
    stream.launch(kEmpty, {.items = shared ? 16 : 1}, {updates(row)}, None{});
  }
  stream.end_recording();
  return std::move(recorder.recording);
}

void empty_kernels(benchmark::State& state, Topology topology) {
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  HeapStore store(BufferKind::state, host_memory());
  const Tensor rows = store.allocate(DType::f32, {state.range(0), 16});
  const StepSizes one{.tokens = 1, .seqs = 1};
  cpu::TeamReplay replay(record(stream, rows, state.range(0), topology), one, cpu_stream(stream));
  // 0: shared as the device measures; -2: two workers with fixed shares.
  const auto workers = static_cast<int>(state.range(1));
  for (auto _ : state) {
    if (workers != 0)
      replay.run_on(one, cpu::Sharing(std::abs(workers), workers < 0));
    else
      replay.run(one);
  }
  state.counters["ns/node"] =
      benchmark::Counter(static_cast<double>(state.range(0)) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t nodes : {1, 50, 300})
    for (const int64_t workers : {0, 1, 2, -2}) bench->Args({nodes, workers});
  bench->ArgNames({"nodes", "workers"})->UseRealTime();
}
BENCHMARK_CAPTURE(empty_kernels, chain, chain)->Apply(sizes);
BENCHMARK_CAPTURE(empty_kernels, independent, independent)->Apply(sizes);
BENCHMARK_CAPTURE(empty_kernels, shared_chain, shared_chain)->Apply(sizes);
BENCHMARK_CAPTURE(empty_kernels, shared_and_small, shared_and_small)->Apply(sizes);

// Nodes that each read a weight of some bytes, all by all: where a second worker begins to pay.
void reads(benchmark::State& state) {
  struct Bytes {
    int64_t per_item;
  };
  static const Kernel kernel{"read", [](const KernelContext& context, int64_t begin, int64_t end) {
                               const int64_t bytes = context.get_scalars<Bytes>().per_item;
                               for (int64_t item = begin; item < end; ++item)
                                 std::memcpy(context.scratch, context.buffers[0] + item * bytes,
                                             static_cast<size_t>(bytes));
                             }};
  constexpr int64_t kNodes = 40, kItems = 64;
  const int64_t bytes = state.range(0);
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  HeapStore store(BufferKind::weight, host_memory()), inputs(BufferKind::input, host_memory());
  const Tensor out = inputs.allocate(DType::f32, {kItems});
  Recorder recorder;
  std::vector<Tensor> weights;
  for (int64_t i = 0; i < kNodes; ++i) weights.push_back(store.allocate(DType::f32, {bytes / 4}));
  stream.begin_recording(recorder);
  for (const Tensor& weight : weights)
    stream.launch(kernel, {.items = kItems}, {reprise::reads(weight), updates(out)}, Bytes{bytes / kItems});
  stream.end_recording();
  const StepSizes one{.tokens = 1, .seqs = 1};
  cpu::TeamReplay replay(std::move(recorder.recording), one, cpu_stream(stream));
  for (auto _ : state) replay.run_on(one, static_cast<int>(state.range(1)));
}
BENCHMARK(reads)
    ->ArgsProduct({{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10}, {1, 2}})
    ->ArgNames({"bytes", "workers"})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

// Recording, dependencies and preparation of 250 launches over an arena that is used again and again.
void capture(benchmark::State& state) {
  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  Stream stream(device);
  StepArena arena(host_memory(), 1 << 20);
  HeapStore store(BufferKind::weight, host_memory());
  const StepSizes one{.tokens = 1, .seqs = 1};
  arena.set_sizing(one);
  const Tensor weight = store.allocate(DType::f32, {64});
  for (auto _ : state) {
    Recorder recorder;
    stream.begin_recording(recorder);
    Tensor residual = arena.allocate(DType::f32, {kTokens, 64});
    Tensor last = residual;
    for (int i = 0; i < 250; ++i) {
      const LayerScope layer(i % 2 == 0 ? "model.layers.3.self_attn" : "model.layers.3.mlp");
      Tensor next = arena.allocate(DType::f32, {kTokens, 64});
      stream.launch(kEmpty, {.items = kTokens}, {reads(last), reads(weight), writes(next), updates(residual)},
                    None{});
      last = next;
    }
    stream.end_recording();
    const cpu::TeamReplay replay(std::move(recorder.recording), one, cpu_stream(stream));
    benchmark::DoNotOptimize(replay.bytes());
  }
}
BENCHMARK(capture)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace reprise::capture

// What a replay costs beside its kernels: empty ones, in a chain and independent; and the cost of a capture
// of the size of a 28-layer model.
#include <benchmark/benchmark.h>

#include "capture/replay.h"
#include "core/arena.h"
#include "core/thread_team.h"

namespace reprise::capture {
namespace {

struct None {};
const Kernel kEmpty{"empty", [](const KernelContext&, int64_t, int64_t) {}};

enum Topology { chain, independent, shared_chain };

// shared_chain: nodes in 16 chunks each, so that every one of them is handed over between the workers.
Recording record(Stream& stream, const Tensor& rows, int64_t nodes, Topology topology) {
  Recorder recorder;
  stream.begin_recording(recorder);
  for (int64_t i = 0; i < nodes; ++i) {
    Tensor row = rows;
    row.shape = Shape{16};
    if (topology == independent) row.offset = i * 64;
    stream.launch(kEmpty, {.items = topology == shared_chain ? 16 : 1}, {updates(row)}, None{});
  }
  stream.end_recording();
  return std::move(recorder.recording);
}

void empty_kernels(benchmark::State& state, Topology topology) {
  ThreadTeam team(2);
  Stream stream(team, Isa::scalar);
  HeapStore store(BufferKind::state);
  const Tensor rows = store.allocate(DType::f32, {state.range(0), 16});
  const StepSizes one{.tokens = 1, .seqs = 1};
  Replay replay(record(stream, rows, state.range(0), topology), one, stream);
  for (auto _ : state) replay.run(one, static_cast<int>(state.range(1)));
  state.counters["ns/node"] =
      benchmark::Counter(static_cast<double>(state.range(0)) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t nodes : {1, 50, 300})
    for (const int64_t workers : {1, 2}) bench->Args({nodes, workers});
  bench->ArgNames({"nodes", "workers"})->UseRealTime();
}
BENCHMARK_CAPTURE(empty_kernels, chain, chain)->Apply(sizes);
BENCHMARK_CAPTURE(empty_kernels, independent, independent)->Apply(sizes);
BENCHMARK_CAPTURE(empty_kernels, shared_chain, shared_chain)->Apply(sizes);

// Recording, dependencies and preparation of 250 launches over an arena that is used again and again.
void capture(benchmark::State& state) {
  ThreadTeam team(2);
  Stream stream(team, Isa::scalar);
  StepArena arena(1 << 20);
  HeapStore store(BufferKind::weight);
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
    const Replay replay(std::move(recorder.recording), one, stream);
    benchmark::DoNotOptimize(replay.bytes());
  }
}
BENCHMARK(capture)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace reprise::capture

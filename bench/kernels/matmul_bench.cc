// The matmuls of Qwen3-0.6B, and of smaller models (135M: SmolLM2, 15M: a Llama of hidden size 288), at every
// ISA level that this CPU has: GFLOP/s, and GB/s of weights, which at few rows is to be held against
// read_bandwidth of the same run. Weights rotate through copies larger than the caches, as they do in a
// model. Names: shape/dtype/isa/rows/threads.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/launch.h"
#include "core/thread_team.h"
#include "device/cpu/bandwidth_probe.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/isa_select.h"
#include "kernels/cpu/matmul.h"
#include "kernels/cpu/pack.h"

namespace reprise::kernels::cpu {
namespace {

struct MatmulShape {
  const char* name;
  std::vector<int64_t> n;
  int64_t k;
};

const std::vector<MatmulShape>& shapes() {
  static const std::vector<MatmulShape> all = {{"qkv", {2048, 1024, 1024}, 1024},
                                               {"out", {1024}, 2048},
                                               {"gate_up", {3072, 3072}, 1024},
                                               {"down", {1024}, 3072},
                                               {"head", {151936}, 1024},
                                               {"135m_qkv", {576, 192, 192}, 576},
                                               {"135m_gate_up", {1536, 1536}, 576},
                                               {"135m_down", {576}, 1536},
                                               {"135m_head", {49152}, 576},
                                               {"15m_qkv", {288, 288, 288}, 288},
                                               {"15m_gate_up", {768, 768}, 288},
                                               {"15m_down", {288}, 768},
                                               {"15m_head", {32000}, 288}};
  return all;
}

Tensor filled(HeapStore& store, DType dtype, int64_t rows, int64_t columns) {
  Tensor tensor = store.allocate(dtype, {rows, columns});
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float value = static_cast<float>(i * 7919 % 1013) / 1013.0f - 0.5f;
    if (dtype == DType::bf16)
      tensor.as<uint16_t>()[i] = f32_to_bf16(value);
    else
      tensor.as<float>()[i] = value;
  }
  return tensor;
}

// One matmul with its weights, outputs and launch.
class Layer {
 public:
  Layer(const MatmulShape& shape, DType dtype, Isa isa, int64_t rows, int workers, const Tensor& x)
      : kernel_(matmul_kernel(isa, dtype)), store_(BufferKind::weight, host_memory()) {
    scalars_ = {.rows = rows, .k = shape.k, .out = dtype, .segments = static_cast<int32_t>(shape.n.size())};
    buffers_.push_back(reads(x));
    for (size_t i = 0; i < shape.n.size(); ++i) {
      const int64_t n = shape.n[i];
      scalars_.n[i] = n;
      const size_t bytes = packed_bytes(dtype, n, shape.k);
      weights_.push_back(store_.allocate(dtype, {n, shape.k}, packing_of(dtype)));
      const int64_t some =
          std::min<int64_t>(n, 256);  // the same rows again and again: only the traffic counts
      const Tensor source = filled(store_, dtype, some, shape.k);
      for (int64_t row = 0; row < n; row += some) {
        const int64_t end = std::min(n, row + some);
        if (dtype == DType::bf16)
          pack_rows(dtype, source.as<uint16_t>(), row, end, n, shape.k, weights_.back().data());
        else
          pack_rows(dtype, source.as<float>(), row, end, n, shape.k, weights_.back().data());
      }
      weights_.push_back(store_.allocate(dtype, {rows, n}));
      buffers_.push_back(reads(weights_[weights_.size() - 2]));
      buffers_.push_back({});
      buffers_.push_back(writes(weights_.back()));
      bytes_ += static_cast<int64_t>(bytes);
    }
    dims_ = cut_matmul(scalars_, isa, dtype, workers);
  }

  void run(Stream& stream) const { stream.launch(kernel_, dims_, buffers_, scalars_); }
  int64_t bytes() const { return bytes_; }

 private:
  Kernel kernel_;
  LaunchDims dims_;
  HeapStore store_;
  MatmulScalars scalars_;
  std::vector<Tensor> weights_;  // and outputs
  std::vector<BufferArg> buffers_;
  int64_t bytes_ = 0;
};

void matmul(benchmark::State& state, const MatmulShape& shape, DType dtype, Isa isa, int64_t rows,
            int threads) {
  ThreadTeam team(threads);
  CpuDevice device(team, isa);
  Stream stream(device);
  HeapStore store(BufferKind::input, host_memory());
  const Tensor x = filled(store, dtype, rows, shape.k);
  std::vector<std::unique_ptr<Layer>> layers;
  constexpr int64_t kFootprint = int64_t{512} << 20;
  int64_t bytes = 0;
  do {
    layers.push_back(std::make_unique<Layer>(shape, dtype, isa, rows, threads, x));
    bytes += layers.back()->bytes();
  } while (bytes < kFootprint && rows <= 64);
  size_t next = 0;
  for (auto _ : state) {
    layers[next]->run(stream);
    next = (next + 1) % layers.size();
  }
  const auto runs = static_cast<double>(state.iterations());
  double flops = 2.0 * static_cast<double>(rows * shape.k);
  int64_t n = 0;
  for (int64_t segment : shape.n) n += segment;
  state.counters["GFLOP/s"] =
      benchmark::Counter(runs * flops * static_cast<double>(n) * 1e-9, benchmark::Counter::kIsRate);
  state.counters["GB/s"] =
      benchmark::Counter(runs * static_cast<double>(layers[0]->bytes()) * 1e-9, benchmark::Counter::kIsRate);
}

void read_bandwidth_case(benchmark::State& state, int threads) {
  ThreadTeam team(threads);
  double best = 0;
  for (auto _ : state) best = std::max(best, reprise::cpu::read_bandwidth(team));
  state.counters["GB/s"] = best;
}

bool register_all() {
  for (int threads : {1, 2})
    benchmark::RegisterBenchmark(fmt::format("read_bandwidth/{}", threads).c_str(),
                                 [threads](benchmark::State& state) { read_bandwidth_case(state, threads); })
        ->Iterations(1);
  for (DType dtype : {DType::bf16, DType::f32})
    for (Isa isa : reprise::cpu::available_isas()) {
      if (isa == Isa::scalar || (dtype == DType::f32 && isa > Isa::avx512)) continue;
      for (const MatmulShape& shape : shapes())
        for (int64_t rows : {1, 2, 4, 8, 16, 32, 64, 512})
          for (int threads : {1, 2})
            if (rows <= 64 || shape.n[0] < 10000)  // prefill needs the head for its last row only
              benchmark::RegisterBenchmark(
                  fmt::format("{}/{}/{}/{}/{}", shape.name, name_of(dtype), name_of(isa), rows, threads)
                      .c_str(),
                  [&shape, dtype, isa, rows, threads](benchmark::State& state) {
                    matmul(state, shape, dtype, isa, rows, threads);
                  })
                  ->UseRealTime()
                  ->Unit(benchmark::kMicrosecond);
    }
  return true;
}
const bool registered = register_all();

}  // namespace
}  // namespace reprise::kernels::cpu

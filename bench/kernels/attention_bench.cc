// Attention at the shapes of real models: prefill against the FMA peak, decode against memory. Counters:
// GFLOP/s of the two products (what the causal mask leaves), GB/s of K and V read and, for decode, their
// share of the bandwidth that the probe finds right before and after. The cache lies as the engine's does, in
// huge pages, and calls rotate through layers of it that are together larger than the machine's caches, as
// those of a model are.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "core/arena.h"
#include "core/thread_team.h"
#include "device/cpu/bandwidth_probe.h"
#include "device/cpu/isa_select.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/kv_write.h"

namespace reprise::kernels::cpu {
namespace {

struct Model {
  int64_t heads, kv_heads, head_dim;
};
constexpr Model kQwen3 = {16, 8, 128}, kSmolLm = {9, 3, 64};

std::vector<std::byte> random_bytes(DType dtype, int64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * size_of(dtype));
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const float value = uniform(generator);
    const uint16_t half = f32_to_bf16(value);
    if (dtype == DType::bf16)
      std::memcpy(&bytes[2 * i], &half, 2);
    else
      std::memcpy(&bytes[4 * i], &value, 4);
  }
  return bytes;
}

// Memory of numbers of `dtype`, kept from case to case: huge pages are slow to find.
std::byte* cache_memory(DType dtype, size_t bytes) {
  static MemoryRange memory;
  static DType filled = DType::i32;
  if (memory.bytes() >= bytes && filled == dtype) return memory.data();
  if (memory.bytes() < bytes) {
    memory = MemoryRange();
    memory = MemoryRange(host_memory(), bytes);
  }
  filled = dtype;
  const std::vector<std::byte> numbers = random_bytes(dtype, int64_t{1} << 20);
  for (size_t at = 0; at < memory.bytes(); at += numbers.size())
    std::memcpy(memory.data() + at, numbers.data(), std::min(numbers.size(), memory.bytes() - at));
  return memory.data();
}
constexpr size_t kHugePage = size_t{2} << 20, kBeyondCaches = size_t{192} << 20;

struct alignas(64) Scratch {
  std::byte bytes[KernelContext::kScratchBytes];
};

// `tokens` tokens at the end of each of the sequences.
struct Setup {
  AttentionScalars scalars;
  StepSizes sizes;
  std::vector<std::byte> q, out, workspace;
  std::vector<int32_t> tables, seqs, positions;
  std::vector<std::vector<std::byte*>> layers;  // the buffers of each

  Setup(DType dtype, const Model& model, int64_t tokens, const std::vector<int64_t>& lengths,
        int64_t partition_size, int64_t block, int workers) {
    const int64_t longest = *std::max_element(lengths.begin(), lengths.end());
    const int64_t row = model.heads * model.head_dim;
    scalars = {.heads = model.heads,
               .kv_heads = model.kv_heads,
               .head_dim = model.head_dim,
               .block_size = block,
               .max_blocks = (longest + block - 1) / block,
               .partition_size = partition_size,
               .partitions = partition_size > 0 ? (longest + partition_size - 1) / partition_size : 1,
               .q_stride = row,
               .out_stride = row,
               .scale = 1 / std::sqrt(static_cast<float>(model.head_dim))};
    sizes = {.tokens = tokens * static_cast<int64_t>(lengths.size()),
             .seqs = static_cast<int64_t>(lengths.size())};
    scalars.split_tokens = attention_split_tokens(scalars, workers);
    tables.resize(static_cast<size_t>(sizes.seqs * scalars.max_blocks));
    int32_t blocks = 1;
    for (size_t s = 0; s < lengths.size(); ++s) {
      for (int64_t b = 0; b * block < lengths[s]; ++b)
        tables[s * static_cast<size_t>(scalars.max_blocks) + static_cast<size_t>(b)] = blocks++;
      for (int64_t t = lengths[s] - tokens; t < lengths[s]; ++t) {
        seqs.push_back(static_cast<int32_t>(s));
        positions.push_back(static_cast<int32_t>(t));
      }
    }
    q = random_bytes(dtype, sizes.tokens * row);
    out = q;
    workspace.resize(static_cast<size_t>(attention_workspace_bytes(scalars)));
    const auto elements =
        static_cast<size_t>(blocks * kv_block_elements(dtype, model.kv_heads, model.head_dim, block));
    const size_t bytes = (elements * size_of(dtype) + kHugePage - 1) / kHugePage * kHugePage;
    const size_t count = (kBeyondCaches + 2 * bytes - 1) / (2 * bytes);
    std::byte* cache = cache_memory(dtype, count * 2 * bytes);
    for (size_t layer = 0; layer < count; ++layer, cache += 2 * bytes)
      layers.push_back({q.data(), cache, cache + bytes, reinterpret_cast<std::byte*>(tables.data()),
                        reinterpret_cast<std::byte*>(seqs.data()),
                        reinterpret_cast<std::byte*>(positions.data()), out.data(), workspace.data()});
  }

  void run(ThreadTeam& team, const Kernel& kernel, std::vector<Scratch>& scratch, std::byte* const* pointers,
           int64_t items) {
    team.parallel_for(items, 1, [&](int64_t begin, int64_t end, int worker) {
      FlushDenormals flush;
      kernel.run({.sizes = sizes,
                  .buffers = pointers,
                  .scalars = &scalars,
                  .scratch = scratch[static_cast<size_t>(worker)].bytes,
                  .worker = worker},
                 begin, end);
    });
  }
};

void attention(benchmark::State& state, DType dtype, Model model, int64_t tokens,
               const std::vector<int64_t>& lengths, int64_t partition_size, int threads, int64_t block = 64) {
  const Isa isa = reprise::cpu::choose_isa(dtype);
  Setup setup(dtype, model, tokens, lengths, partition_size, block, threads);
  ThreadTeam team(threads);
  std::vector<Scratch> scratch(static_cast<size_t>(threads));
  const Kernel& kernel = paged_attention_kernel(isa, dtype);
  const Kernel& merge = attention_merge_kernel(isa, dtype);
  const std::vector<std::byte*>& first = setup.layers[0];
  std::byte* const merge_buffers[] = {first[7], first[4], first[5], first[6]};
  const double before = tokens == 1 ? reprise::cpu::read_bandwidth(team) : 0;
  size_t layer = 0;
  for (auto _ : state) {
    setup.run(team, kernel, scratch, setup.layers[layer++ % setup.layers.size()].data(),
              attention_dims(setup.scalars).items.eval(setup.sizes));
    if (setup.scalars.split_tokens > 0)
      setup.run(team, merge, scratch, merge_buffers,
                attention_merge_dims(setup.scalars).items.eval(setup.sizes));
  }
  const double after = tokens == 1 ? reprise::cpu::read_bandwidth(team) : 0;
  double pairs = 0, keys = 0;
  for (int64_t length : lengths) {
    for (int64_t t = 0; t < tokens; ++t) pairs += static_cast<double>(length - t);
    keys += static_cast<double>(length);
  }
  const double flops = 4 * pairs * static_cast<double>(model.heads * model.head_dim);
  const double bytes =
      2 * keys * static_cast<double>(model.kv_heads * model.head_dim) * static_cast<double>(size_of(dtype));
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  if (tokens == 1)
    state.counters["share"] =
        benchmark::Counter(bytes * 2e-9 / (before + after), benchmark::Counter::kIsIterationInvariantRate);
}

// Lengths from 40 to 1000.
std::vector<int64_t> crowd(int64_t count) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < count; ++i) lengths.push_back(40 + i * 389 % 961);
  return lengths;
}

std::vector<int64_t> alike(size_t count, int64_t length) {
  return std::vector<int64_t>(count, length);
}

#define REPRISE_CASE(...) \
  BENCHMARK_CAPTURE(attention, __VA_ARGS__)->UseRealTime()->Unit(benchmark::kMicrosecond)
REPRISE_CASE(qwen3_prefill_512_f32, DType::f32, kQwen3, 512, {512}, 0, 1);
REPRISE_CASE(qwen3_prefill_512_bf16, DType::bf16, kQwen3, 512, {512}, 0, 1);
REPRISE_CASE(qwen3_prefill_512_bf16_2_threads, DType::bf16, kQwen3, 512, {512}, 0, 2);
REPRISE_CASE(qwen3_prefill_512_at_4096_bf16, DType::bf16, kQwen3, 512, {4096}, 0, 1);
REPRISE_CASE(smollm_prefill_512_f32, DType::f32, kSmolLm, 512, {512}, 0, 1);
REPRISE_CASE(smollm_prefill_512_bf16, DType::bf16, kSmolLm, 512, {512}, 0, 1);
REPRISE_CASE(qwen3_decode_128_bf16, DType::bf16, kQwen3, 1, {128}, 0, 1);
REPRISE_CASE(qwen3_decode_1024_bf16, DType::bf16, kQwen3, 1, {1024}, 0, 1);
REPRISE_CASE(qwen3_decode_16384_bf16, DType::bf16, kQwen3, 1, {16384}, 0, 1);
REPRISE_CASE(qwen3_decode_16384_f32, DType::f32, kQwen3, 1, {16384}, 0, 1);
REPRISE_CASE(qwen3_decode_1024_bf16_2_threads, DType::bf16, kQwen3, 1, {1024}, 0, 2);
REPRISE_CASE(qwen3_decode_4096_bf16_2_threads, DType::bf16, kQwen3, 1, {4096}, 0, 2);
REPRISE_CASE(qwen3_decode_16384_bf16_2_threads, DType::bf16, kQwen3, 1, {16384}, 0, 2);
REPRISE_CASE(qwen3_decode_16384_bf16_blocks_of_16, DType::bf16, kQwen3, 1, {16384}, 0, 2, 16);
REPRISE_CASE(qwen3_decode_16384_bf16_partitions, DType::bf16, kQwen3, 1, {16384}, 2048, 2);
REPRISE_CASE(qwen3_decode_16_x_1024_bf16_2_threads, DType::bf16, kQwen3, 1, alike(16, 1024), 0, 2);
REPRISE_CASE(qwen3_decode_16_x_4096_bf16_2_threads, DType::bf16, kQwen3, 1, alike(16, 4096), 0, 2);
REPRISE_CASE(qwen3_decode_batch_16_bf16_2_threads, DType::bf16, kQwen3, 1, crowd(16), 0, 2);
REPRISE_CASE(qwen3_decode_batch_64_bf16_2_threads, DType::bf16, kQwen3, 1, crowd(64), 0, 2);
REPRISE_CASE(qwen3_decode_batch_16_f32_2_threads, DType::f32, kQwen3, 1, crowd(16), 0, 2);
REPRISE_CASE(qwen3_decode_batch_64_f32_2_threads, DType::f32, kQwen3, 1, crowd(64), 0, 2);
REPRISE_CASE(smollm_decode_2048_f32, DType::f32, kSmolLm, 1, {2048}, 0, 1);

}  // namespace
}  // namespace reprise::kernels::cpu

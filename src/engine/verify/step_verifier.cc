#include "engine/verify/step_verifier.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "capture/missing_waits.h"
#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"
#include "engine/verify/value_hashes.h"
#include "ops/attention.h"
#include "ops/op.h"

namespace reprise::engine {
namespace {

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Row of the first difference.
size_t first_row(std::span<const float> a, std::span<const float> b, int64_t columns) {
  size_t i = 0;
  while (i < a.size() && std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i])) ++i;
  return i / static_cast<size_t>(columns);
}

}  // namespace

// Forward and sample by the model's own code, on the inputs that are there.
models::ForwardOutput StepVerifier::run_eagerly() {
  const StepSizes sizes = parts_.inputs.sizes();
  ops::EagerDispatcher dispatcher(parts_.stream, parts_.eager_arena);
  const ops::DispatchScope scope(dispatcher);
  parts_.inputs.upload(sizes);
  parts_.samples.upload(sizes.rows);
  parts_.eager_arena.set_sizing(class_of(sizes, parts_.limits));
  parts_.stream.set_sizes(sizes);
  models::ForwardOutput output = parts_.model.forward(parts_.inputs.forward());
  ops::sample(output.logits, parts_.samples.tensors());
  return output;
}

// Logits of the step's rows by the model's own code. Writes the same keys and values to the same slots.
std::vector<float> StepVerifier::eager_logits() {
  const StepSizes sizes = parts_.inputs.sizes();
  const Tensor logits = run_eagerly().logits;
  const auto* begin = reinterpret_cast<const float*>(parts_.stream.read_back(logits));
  return {begin, begin + logits.shape.elements().eval(sizes)};
}

// What the step has chosen: tokens and log-probabilities of its rows.
std::vector<std::byte> StepVerifier::choices() const {
  const ops::SampleTensors& samples = parts_.samples.tensors();
  parts_.stream.set_sizes(parts_.inputs.sizes());
  std::vector<std::byte> bytes;
  for (const Tensor* tensor : {&samples.tokens, &samples.logprobs, &samples.top_ids, &samples.top_logprobs}) {
    const std::byte* const begin = parts_.stream.read_back(*tensor);
    bytes.insert(bytes.end(), begin, begin + tensor->extent().eval(parts_.inputs.sizes()));
  }
  return bytes;
}

std::optional<std::string> StepVerifier::check_step(const StepPath& path, const StepShape& shape) {
  return compare(path, shape, /*poisoned=*/false);
}

// What the step that has just run computed, with the model's own code. `poisoned`: its arena was filled with
// NaN.
std::optional<std::string> StepVerifier::compare(const StepPath& path, const StepShape& shape,
                                                 bool poisoned) {
  const StepSizes sizes = parts_.inputs.sizes();
  const Tensor& logits = parts_.backend.logits(path, shape);
  const int64_t columns = logits.shape.back().constant;
  parts_.stream.set_sizes(sizes);
  const auto* begin = reinterpret_cast<const float*>(parts_.stream.read_back(logits));
  const std::vector<float> replayed(begin, begin + sizes.rows * columns);
  const std::vector<std::byte> chosen = choices();
  // At level 0 the model's own code has its intermediates in the same memory. An op that reads what it didn't
  // write must not find the same NaN there.
  if (poisoned) fill_arena(path, shape, 0);
  const std::vector<float> expected = eager_logits();
  const bool same_logits = same_bits(replayed, expected);
  if (same_logits && chosen == choices()) return std::nullopt;
  std::string where = localise(path, shape);
  eager_logits();  // what the search left in the cache and in the choices
  const std::string what = same_logits ? "what it chooses differs from the sampler's own choice"
                                       : fmt::format("it differs from the model's own code in row {}",
                                                     first_row(replayed, expected, columns));
  return fmt::format("[verify] the {} of a step of {} tokens in {} sequences: {}: {}", name_of(path.mode),
                     sizes.tokens, sizes.seqs, what, where);
}

// Where a recording froze what depends on data, or a launch does not wait for what it needs: neither has to
// show in the results of one step.
std::optional<std::string> StepVerifier::check_recording(const StepPath& path, const StepShape& shape) {
  const CapturedStep& step = *parts_.backend.captured(path, shape);
  if (std::string difference = step.difference_now(); !difference.empty()) return difference;
  const StepSizes largest = parts_.backend.executor(path, shape).plan().largest;
  for (const auto& replay : step.replays())
    if (const auto missing = capture::first_missing_wait(*replay, largest)) {
      const capture::RecordedLaunch& later = replay->recording().launches()[missing->later];
      const capture::RecordedLaunch& earlier = replay->recording().launches()[missing->earlier];
      return fmt::format(
          "op '{}' of layer '{}' does not wait for op '{}' of layer '{}', which uses its buffer {}", later.op,
          later.layer, earlier.op, earlier.layer, missing->buffer);
    }
  return std::nullopt;
}

void StepVerifier::fill_arena(const StepPath& path, const StepShape& shape, int byte) {
  const std::span<std::byte> arena = parts_.backend.arena_of(path, shape);
  parts_.stream.device().memory().fill(arena.data(), byte, arena.size());
}

// Replays the step launch by launch, with NaN in its arena before, and in each launch's rows of padding after
// it.
void StepVerifier::run_poisoned(const StepPath& path, const StepShape& shape,
                                const std::function<void(graph::NodeId)>& after_node) {
  const StepSizes real = parts_.inputs.sizes();
  const StepSizes captured = parts_.backend.prepare(path, shape);
  fill_arena(path, shape, kVerifyPoison);
  const auto poison = [&](const capture::Recording& recording, const capture::RecordedLaunch& launch) {
    for (const capture::RecordedBuffer& buffer : recording.buffers_of(launch)) {
      if (buffer.absent || buffer.access == Access::read || buffer.kind != BufferKind::arena) continue;
      for (const auto& [row_bytes, first, last] :
           {std::tuple(buffer.extent.tokens, real.tokens, captured.tokens),
            std::tuple(buffer.extent.seqs, real.seqs, captured.seqs),
            std::tuple(buffer.extent.rows, real.rows, captured.rows)})
        if (row_bytes > 0 && first < last)
          parts_.stream.device().memory().fill(buffer.address + first * row_bytes, kVerifyPoison,
                                               static_cast<size_t>((last - first) * row_bytes));
    }
  };
  parts_.backend.captured(path, shape)->run_slowly(captured, real, poison, after_node);
}

// The step's keys and values become NaN: so one that is not written shows in what reads it, though an earlier run left
// the right ones.
void StepVerifier::spoil_slots() {
  if (parts_.cache.view().layers.empty()) return;
  const StepSizes sizes = parts_.inputs.sizes();
  ops::EagerDispatcher dispatcher(parts_.stream, parts_.eager_arena);
  const ops::DispatchScope scope(dispatcher);
  parts_.eager_arena.set_sizing(class_of(sizes, parts_.limits));
  parts_.stream.set_sizes(sizes);
  const weights::ModelConfig& model = parts_.model.config();
  const models::PagedKvView& cache = parts_.cache.view();
  const Tensor nan = parts_.eager_arena.allocate(cache.layers.front().keys.dtype,
                                                 Shape{kTokens, model.num_kv_heads * model.head_dim});
  parts_.stream.device().memory().fill(nan.data(), kVerifyPoison,
                                       static_cast<size_t>(nan.extent().eval(sizes)));
  for (const models::KvLayer& layer : cache.layers)
    ops::kv_write(
        nan, nan, parts_.inputs.forward().slots, layer.keys, layer.values,
        {.kv_heads = model.num_kv_heads, .head_dim = model.head_dim, .block_size = cache.block_size});
}

std::string StepVerifier::localise(const StepPath& path, const StepShape& shape) {
  const StepSizes sizes = parts_.inputs.sizes();
  graph::Executor& executor = parts_.backend.executor(path, shape);
  const graph::Graph& graph = executor.graph();
  const auto named = [&](graph::NodeId node, std::string_view where) {
    return fmt::format("first in op '{}' of layer '{}' {}", graph.node(node).schema->name,
                       graph.node(node).layer, where);
  };
  const auto run_nodes = [&](const StepSizes& run_for) {
    NodeHashes hashes(parts_.stream, executor, sizes);
    spoil_slots();
    parts_.stream.set_sizes(run_for);
    for (graph::NodeId node = 0; node < static_cast<graph::NodeId>(graph.nodes.size()); ++node) {
      executor.run(node, node + 1);
      hashes.take(node);
    }
    return hashes;
  };
  // 1. The static graph against the model's code.
  const NodeHashes plain = run_nodes(sizes);
  if (const auto node = plain.first_not_as(traced_hashes(parts_))) return named(*node, "of the static graph");
  CapturedStep* const step = parts_.backend.captured(path, shape);
  if (step == nullptr) return "every op by itself is equal";
  // 2. Padded, 3. replayed, 4. replayed with NaN in the padding, against the static graph.
  const StepSizes padded = parts_.backend.prepare(path, shape);
  if (const auto node = plain.first_not_as(run_nodes(padded)))
    return named(*node, "once the step is padded: padding reaches the rows of the step");
  const auto nothing = [](const capture::Recording&, const capture::RecordedLaunch&) {};
  NodeHashes replayed(parts_.stream, executor, sizes);
  spoil_slots();
  step->run_slowly(padded, sizes, nothing, [&](graph::NodeId node) { replayed.take(node); });
  if (const auto node = plain.first_not_as(replayed))
    return named(*node, "as it is replayed: the recording or what was made of it is not the graph");
  NodeHashes poisoned(parts_.stream, executor, sizes);
  spoil_slots();
  run_poisoned(path, shape, [&](graph::NodeId node) { poisoned.take(node); });
  if (const auto node = plain.first_not_as(poisoned))
    return named(*node, "once its padding and the memory that nothing wrote are NaN");
  // 5. What shows by chance only.
  if (const auto problem = check_recording(path, shape)) return *problem;
  return "every op by itself is equal; the order of the replay is to blame";
}

}  // namespace reprise::engine

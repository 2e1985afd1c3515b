#include "engine/step_verifier.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "capture/compare.h"
#include "capture/dependencies.h"
#include "core/error.h"
#include "ops/op.h"

namespace reprise::engine {
namespace {

constexpr int kPoison = 0xff;  // every f32 and bf16 of such bytes is a NaN

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Row of the first difference.
size_t first_row(std::span<const float> a, std::span<const float> b, int64_t columns) {
  size_t i = 0;
  while (i < a.size() && std::memcmp(&a[i], &b[i], sizeof(float)) == 0) ++i;
  return i / static_cast<size_t>(columns);
}

// FNV-1a over the rows of a step.
uint64_t hash_of(const Tensor& tensor, const StepSizes& sizes) {
  uint64_t hash = 0xcbf29ce484222325u;
  const int64_t bytes = tensor.extent().eval(sizes);
  const std::byte* data = tensor.data();
  for (int64_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<uint64_t>(data[i])) * 0x100000001b3u;
  return hash;
}

// Runs the model's code op by op and keeps a hash of every result, in the order in which a trace numbers
// them.
class HashingDispatcher final : public ops::Dispatcher {
 public:
  HashingDispatcher(Stream& stream, StepArena& arena) : stream_(stream), eager_(stream, arena) {}
  ops::Outputs dispatch(const ops::OpCall& call) override {
    ops::Outputs outputs = eager_.dispatch(call);
    for (int i = 0; i < outputs.count; ++i)
      hashes.push_back(hash_of(outputs.tensors[static_cast<size_t>(i)], stream_.sizes()));
    return outputs;
  }
  const std::byte* read(const Tensor& tensor) override { return eager_.read(tensor); }

  std::vector<uint64_t> hashes;  // of results in the arena, new versions of states left out

 private:
  Stream& stream_;
  ops::EagerDispatcher eager_;
};

}  // namespace

// Logits of the step's rows by the model's own code. Writes the same keys and values to the same slots.
std::vector<float> StepVerifier::eager_logits() {
  const StepSizes sizes = parts_.inputs.sizes();
  ops::EagerDispatcher dispatcher(parts_.stream, parts_.eager_arena);
  const ops::DispatchScope scope(dispatcher);
  parts_.eager_arena.set_sizing(class_of(sizes, parts_.limits));
  parts_.stream.set_sizes(sizes);
  const models::ForwardOutput output = parts_.model.forward(parts_.inputs.forward());
  const auto* begin = reinterpret_cast<const float*>(parts_.stream.read_back(output.logits));
  return {begin, begin + output.logits.shape.elements().eval(sizes)};
}

std::optional<std::string> StepVerifier::check_step(const StepPath& path, const StepShape& shape) {
  const StepSizes sizes = parts_.inputs.sizes();
  const Tensor& logits = parts_.backend.logits(path, shape);
  const int64_t columns = logits.shape.back().constant;
  const auto* begin = logits.as<float>();
  const std::vector<float> replayed(begin, begin + sizes.seqs * columns);
  const std::vector<float> expected = eager_logits();
  if (same_bits(replayed, expected)) return std::nullopt;
  return fmt::format("[verify] the {} of a step of {} tokens differs from the model's own code in row {}: {}",
                     name_of(path.path), sizes.tokens, first_row(replayed, expected, columns),
                     localise(path, shape));
}

std::string StepVerifier::localise(const StepPath& path, const StepShape& shape) {
  const StepSizes sizes = parts_.inputs.sizes();
  // 1. The static graph, node by node, against the model's code.
  HashingDispatcher reference(parts_.stream, parts_.eager_arena);
  {
    const ops::DispatchScope scope(reference);
    parts_.eager_arena.set_sizing(class_of(sizes, parts_.limits));
    parts_.stream.set_sizes(sizes);
    parts_.model.forward(parts_.inputs.forward());
  }
  const graph::Graph& traced = parts_.backend.graphs().traced;
  std::vector<uint64_t> by_value(traced.values.size(), 0);
  size_t next = 0;
  for (const graph::Node& node : traced.nodes)
    for (const graph::ValueId id : node.outputs)
      if (traced.value(id).previous == graph::kNone && next < reference.hashes.size())
        by_value[static_cast<size_t>(id)] = reference.hashes[next++];
  graph::Executor& executor = parts_.backend.executor(path, shape);
  const graph::Graph& graph = executor.graph();
  parts_.stream.set_sizes(sizes);
  for (graph::NodeId id = 0; id < static_cast<graph::NodeId>(graph.nodes.size()); ++id) {
    executor.run(id, id + 1);
    const graph::Node& node = graph.node(id);
    for (const graph::ValueId output : node.outputs) {
      const graph::Value& value = graph.value(output);
      if (value.traced == graph::kNone || value.previous != graph::kNone) continue;
      if (hash_of(executor.tensor(output), sizes) != by_value[static_cast<size_t>(value.traced)])
        return fmt::format("first in op '{}' of layer '{}' of the static graph", node.schema->name,
                           node.layer);
    }
  }
  // 2. The recording against a fresh one, 3. and its dependencies.
  const CapturedStep* step = parts_.backend.captured(path, shape);
  if (step == nullptr) return "every op by itself is equal";
  const CapturedStep fresh = parts_.backend.capture_afresh(path, shape);
  for (size_t i = 0; i < std::min(step->replays().size(), fresh.replays().size()); ++i) {
    const capture::Replay& old_replay = *step->replays()[i];
    const capture::Replay& new_replay = *fresh.replays()[i];
    if (const auto difference = capture::first_difference(old_replay.recording(), new_replay.recording()))
      return fmt::format("op '{}' of layer '{}' is recorded otherwise than it launches: {}", difference->op,
                         difference->layer, difference->what);
    for (size_t node = 0; node < old_replay.recording().launches().size(); ++node) {
      const auto held = old_replay.dependencies_of(node);
      const auto needed = new_replay.dependencies_of(node);
      if (!std::equal(held.begin(), held.end(), needed.begin(), needed.end())) {
        const capture::RecordedLaunch& launch = old_replay.recording().launches()[node];
        return fmt::format("the replay does not wait for what op '{}' of layer '{}' needs", launch.op,
                           launch.layer);
      }
    }
  }
  return "every op by itself is equal; the padding or the order of the replay is to blame";
}

// Made-up sequences, each in blocks of its own: all but the last token of each is computed by the model's
// code, the last is what the step under test computes.
void StepVerifier::fill_history(const std::vector<MadeUp>& sequences) {
  for (const MadeUp& sequence : sequences) {
    const auto history = static_cast<int64_t>(sequence.tokens.size()) - sequence.step_tokens;
    if (history == 0) continue;
    parts_.inputs.clear();
    parts_.inputs.add(sequence.tokens, 0, history, static_cast<int64_t>(sequence.tokens.size()),
                      sequence.blocks);
    eager_logits();
  }
}

std::vector<StepVerifier::MadeUp> StepVerifier::make_up(int64_t count, int64_t step_tokens) const {
  const int64_t block_size = parts_.cache.view().block_size;
  std::vector<MadeUp> sequences;
  int32_t next_block = 1;  // 0 is the null block
  for (int64_t i = 0; i < count; ++i) {
    const int64_t history = step_tokens == 1 ? 1 + i % std::min<int64_t>(13, block_size - 1) : 0;
    const int64_t length = std::min(history + step_tokens, parts_.cache.view().max_model_len);
    const int64_t blocks = (length + block_size - 1) / block_size;
    if (next_block + blocks - 1 > parts_.kv_blocks) break;
    MadeUp sequence{.tokens = {}, .blocks = {}, .step_tokens = std::min(step_tokens, length)};
    for (int64_t t = 0; t < length; ++t)
      sequence.tokens.push_back(
          static_cast<int32_t>((i * 7919 + t * 104729 + 17) % parts_.model.config().vocab_size));
    for (int64_t b = 0; b < blocks; ++b) sequence.blocks.push_back(next_block++);
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

void StepVerifier::fill_null_block(int byte) {
  for (const models::KvLayer& layer : parts_.cache.view().layers)
    for (const Tensor* tensor : {&layer.keys, &layer.values})
      std::memset(tensor->data(), byte,
                  static_cast<size_t>(tensor->shape.row_elements()) * size_of(tensor->dtype));
}

void StepVerifier::run_poisoned(CapturedStep& step, const StepSizes& captured, const StepSizes& real) {
  std::memset(parts_.arena, kPoison, parts_.backend.arena_bytes());
  step.run_slowly(captured, real,
                  [&](const capture::Recording& recording, const capture::RecordedLaunch& launch) {
                    for (const capture::RecordedBuffer& buffer : recording.buffers_of(launch)) {
                      if (buffer.absent || buffer.access == Access::read || buffer.kind != BufferKind::arena)
                        continue;
                      for (const auto& [row_bytes, first, last] :
                           {std::tuple(buffer.extent.tokens, real.tokens, captured.tokens),
                            std::tuple(buffer.extent.seqs, real.seqs, captured.seqs)})
                        if (row_bytes > 0 && first < last)
                          std::memset(buffer.address + first * row_bytes, kPoison,
                                      static_cast<size_t>((last - first) * row_bytes));
                    }
                  });
}

std::optional<std::string> StepVerifier::check_capture(bool prefill, int64_t size, bool any_size,
                                                       size_t index) {
  const std::vector<MadeUp> sequences = prefill ? make_up(1, any_size || size == 1 ? size : size - 1)
                                                : make_up(any_size || size == 1 ? size : size - 1, 1);
  if (sequences.empty()) return std::nullopt;  // not one block: nothing could run either
  fill_history(sequences);
  fill_null_block(kPoison);
  parts_.inputs.clear();
  for (const MadeUp& sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence.tokens.size());
    parts_.inputs.add(sequence.tokens, length - sequence.step_tokens, length, length, sequence.blocks);
    parts_.samples.plan_skip(parts_.inputs.sizes().seqs - 1);
  }
  const StepSizes real = parts_.inputs.sizes();
  const StepShape shape{.decode_tokens = prefill ? 0 : real.tokens,
                        .prefill_tokens = prefill ? real.tokens : 0,
                        .scores_prompt = false};
  const int64_t captured = any_size ? real.tokens : size;
  const StepPath path{.path = Path::replay,
                      .recording = index,
                      .captured_size = captured,
                      .padding = captured - real.tokens,
                      .reason = NotReplayed::cudagraph_off};
  for (const bool poisoned : {true, false}) {
    if (poisoned)
      run_poisoned(*parts_.backend.captured(path, shape), parts_.backend.prepare(path, shape), real);
    else
      parts_.backend.run(path, shape, nullptr);
    if (auto problem = check_step(path, shape))
      return fmt::format("{}{}", *problem, poisoned ? " (padding filled with NaN)" : "");
  }
  return std::nullopt;
}

std::vector<std::string> StepVerifier::check_captures() {
  std::vector<std::string> problems;
  const ResolvedGraph& config = parts_.backend.config();
  for (const bool prefill : {false, true}) {
    const SizeList& list = prefill ? config.prefill : config.decode;
    for (size_t index = 0; index < list.sizes.size(); ++index) {
      if (!parts_.backend.is_captured(prefill, index)) continue;
      std::vector<int64_t> sizes = {list.sizes[index]};
      if (list.any_size) sizes = {1, (list.sizes[index] + 1) / 2, list.sizes[index]};
      for (const int64_t size : sizes)
        if (auto problem = check_capture(prefill, size, list.any_size, index)) {
          parts_.backend.give_up(prefill, index, *problem);
          problems.push_back(std::move(*problem));
          break;
        }
    }
  }
  fill_null_block(0);
  return problems;
}

}  // namespace reprise::engine

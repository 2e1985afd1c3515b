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
  while (i < a.size() && std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i])) ++i;
  return i / static_cast<size_t>(columns);
}

// FNV-1a.
constexpr uint64_t kHashOfNothing = 0xcbf29ce484222325u;
uint64_t hash_on(uint64_t hash, const std::byte* data, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<uint64_t>(data[i])) * 0x100000001b3u;
  return hash;
}

// Of the rows of a step.
uint64_t hash_of(Stream& stream, const Tensor& tensor, const StepSizes& sizes) {
  const StepSizes before = stream.sizes();
  stream.set_sizes(sizes);
  const uint64_t hash = hash_on(kHashOfNothing, stream.read_back(tensor), tensor.extent().eval(sizes));
  stream.set_sizes(before);
  return hash;
}

// Of the rows whose logits are read.
uint64_t hash_of_picked(Stream& stream, const Tensor& tensor, std::span<const int32_t> rows) {
  const int64_t bytes = tensor.shape.row_elements() * static_cast<int64_t>(size_of(tensor.dtype));
  const std::byte* const data = stream.read_back(tensor);
  uint64_t hash = kHashOfNothing;
  for (const int32_t row : rows) hash = hash_on(hash, data + row * bytes, bytes);
  return hash;
}

// What the model's own code computes, by value of the traced graph.
struct TracedHashes {
  std::vector<uint64_t> whole;
  std::vector<uint64_t> picked;  // the rows whose logits are read, of values that have a row a token
};

// Runs the model's code op by op and keeps a hash of every result, in the order in which a trace numbers
// them.
class HashingDispatcher final : public ops::Dispatcher {
 public:
  HashingDispatcher(Stream& stream, StepArena& arena, const StepInputs& inputs)
      : stream_(stream),
        rows_(inputs.host().logit_rows, static_cast<size_t>(inputs.sizes().seqs)),
        eager_(stream, arena) {}
  ops::Outputs dispatch(const ops::OpCall& call) override {
    ops::Outputs outputs = eager_.dispatch(call);
    for (int i = 0; i < outputs.count; ++i) {
      const Tensor& tensor = outputs.tensors[static_cast<size_t>(i)];
      found.whole.push_back(hash_of(stream_, tensor, stream_.sizes()));
      found.picked.push_back(tensor.shape[0] == kTokens ? hash_of_picked(stream_, tensor, rows_) : 0);
    }
    return outputs;
  }
  const std::byte* read(const Tensor& tensor) override { return eager_.read(tensor); }

  TracedHashes found;  // of results in the arena, new versions of states left out

 private:
  Stream& stream_;
  std::span<const int32_t> rows_;
  ops::EagerDispatcher eager_;
};

TracedHashes traced_hashes(const StepVerifier::Parts& parts) {
  HashingDispatcher reference(parts.stream, parts.eager_arena, parts.inputs);
  {
    const ops::DispatchScope scope(reference);
    parts.eager_arena.set_sizing(class_of(parts.inputs.sizes(), parts.limits));
    parts.stream.set_sizes(parts.inputs.sizes());
    parts.model.forward(parts.inputs.forward());
  }
  const graph::Graph& traced = parts.backend.graphs().traced;
  TracedHashes by_value{std::vector<uint64_t>(traced.values.size()),
                        std::vector<uint64_t>(traced.values.size())};
  size_t next = 0;
  for (const graph::Node& node : traced.nodes)
    for (const graph::ValueId id : node.outputs)
      if (traced.value(id).previous == graph::kNone && next < reference.found.whole.size()) {
        by_value.whole[static_cast<size_t>(id)] = reference.found.whole[next];
        by_value.picked[static_cast<size_t>(id)] = reference.found.picked[next++];
      }
  return by_value;
}

// Hashes of what each node of a graph makes, taken right behind it: later its storage may be another's. Of a
// state, only what has rows of the step: not the KV cache, which shows in what is read from it.
class NodeHashes {
 public:
  NodeHashes(Stream& stream, const graph::Executor& executor, const StepSizes& sizes)
      : stream_(stream), executor_(executor), sizes_(sizes), by_value_(executor.graph().values.size(), 0) {}

  void take(graph::NodeId node) {
    for (const graph::ValueId id : executor_.graph().node(node).outputs)
      if (const Tensor& tensor = executor_.tensor(id); !tensor.shape.elements().is_constant())
        by_value_[static_cast<size_t>(id)] = hash_of(stream_, tensor, sizes_);
  }

  std::optional<graph::NodeId> first_not_as(const NodeHashes& other) const {
    return first([&](size_t id, const graph::Value&) { return by_value_[id] != other.by_value_[id]; });
  }
  // States are left out.
  std::optional<graph::NodeId> first_not_as(const TracedHashes& traced) const {
    return first([&](size_t id, const graph::Value& value) {
      if (value.previous != graph::kNone) return false;
      if (value.traced != graph::kNone)
        return by_value_[id] != traced.whole[static_cast<size_t>(value.traced)];
      return value.rows_of != graph::kNone && value.picked_by == "logit_rows" &&
             by_value_[id] != traced.picked[static_cast<size_t>(value.rows_of)];
    });
  }

 private:
  template <typename Differs>
  std::optional<graph::NodeId> first(Differs&& differs) const {
    const graph::Graph& graph = executor_.graph();
    for (size_t node = 0; node < graph.nodes.size(); ++node)
      for (const graph::ValueId id : graph.nodes[node].outputs)
        if (differs(static_cast<size_t>(id), graph.value(id))) return static_cast<graph::NodeId>(node);
    return std::nullopt;
  }

  Stream& stream_;
  const graph::Executor& executor_;
  StepSizes sizes_;
  std::vector<uint64_t> by_value_;
};

}  // namespace

// Forward and sample by the model's own code, on the inputs that are there.
models::ForwardOutput StepVerifier::run_eagerly() {
  const StepSizes sizes = parts_.inputs.sizes();
  ops::EagerDispatcher dispatcher(parts_.stream, parts_.eager_arena);
  const ops::DispatchScope scope(dispatcher);
  parts_.inputs.upload(sizes);
  parts_.samples.upload(sizes.seqs);
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
  const std::vector<float> replayed(begin, begin + sizes.seqs * columns);
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
template <typename AfterNode>
void StepVerifier::run_poisoned(const StepPath& path, const StepShape& shape, AfterNode&& after_node) {
  const StepSizes real = parts_.inputs.sizes();
  const StepSizes captured = parts_.backend.prepare(path, shape);
  fill_arena(path, shape, kPoison);
  const auto poison = [&](const capture::Recording& recording, const capture::RecordedLaunch& launch) {
    for (const capture::RecordedBuffer& buffer : recording.buffers_of(launch)) {
      if (buffer.absent || buffer.access == Access::read || buffer.kind != BufferKind::arena) continue;
      for (const auto& [row_bytes, first, last] :
           {std::tuple(buffer.extent.tokens, real.tokens, captured.tokens),
            std::tuple(buffer.extent.seqs, real.seqs, captured.seqs)})
        if (row_bytes > 0 && first < last)
          parts_.stream.device().memory().fill(buffer.address + first * row_bytes, kPoison,
                                               static_cast<size_t>((last - first) * row_bytes));
    }
  };
  parts_.backend.captured(path, shape)->run_slowly(captured, real, poison, after_node);
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
  step->run_slowly(padded, sizes, nothing, [&](graph::NodeId node) { replayed.take(node); });
  if (const auto node = plain.first_not_as(replayed))
    return named(*node, "as it is replayed: the recording or what was made of it is not the graph");
  NodeHashes poisoned(parts_.stream, executor, sizes);
  run_poisoned(path, shape, [&](graph::NodeId node) { poisoned.take(node); });
  if (const auto node = plain.first_not_as(poisoned))
    return named(*node, "once its padding and the memory that nothing wrote are NaN");
  // 5. What shows by chance only.
  if (const auto problem = check_recording(path, shape)) return *problem;
  return "every op by itself is equal; the order of the replay is to blame";
}

MadeUpLimits StepVerifier::made_up_limits() const {
  return {.sequences = parts_.limits.rows,
          .tokens = parts_.limits.tokens,
          .length = parts_.cache.view().max_model_len,
          .block_size = parts_.cache.view().block_size,
          .blocks = parts_.kv_blocks};
}

// Computes the history of each by the model's own code, so that its keys and values are in the cache.
void StepVerifier::fill_history(const std::vector<MadeUp>& sequences) {
  for (const MadeUp& sequence : sequences) {
    const auto history = static_cast<int64_t>(sequence.tokens.size()) - sequence.step_tokens;
    if (history == 0) continue;
    parts_.inputs.clear();
    parts_.inputs.add(sequence.tokens, 0, history, static_cast<int64_t>(sequence.tokens.size()),
                      sequence.blocks);
    parts_.samples.plan_skip(0);
    run_eagerly();
  }
}

// The step under test.
void StepVerifier::fill_inputs(const std::vector<MadeUp>& sequences) {
  parts_.inputs.clear();
  for (const MadeUp& sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence.tokens.size());
    parts_.inputs.add(sequence.tokens, length - sequence.step_tokens, length, length, sequence.blocks);
    parts_.samples.plan_score(parts_.inputs.sizes().seqs - 1, sequence.tokens.back(), 0);
  }
}

void StepVerifier::fill_null_block(int byte) {
  for (const models::KvLayer& layer : parts_.cache.view().layers)
    for (const Tensor* tensor : {&layer.keys, &layer.values})
      parts_.stream.device().memory().fill(
          tensor->data(), byte, static_cast<size_t>(tensor->shape.row_elements()) * size_of(tensor->dtype));
}

// One capture at one size. Where it is padded, one row of the steps tried is padding.
std::optional<std::string> StepVerifier::check_capture(bool prefill, int64_t size, bool any_size,
                                                       size_t index) {
  const MadeUpLimits limits = made_up_limits();
  const int64_t tokens = any_size || size == 1 ? size : size - 1;
  const bool mixed = parts_.backend.config().split_at_attention();
  for (const std::vector<SequenceShape>& shapes :
       prefill ? prefill_shapes(tokens, mixed, limits) : decode_shapes(tokens, limits)) {
    const std::vector<MadeUp> sequences = make_up(shapes, parts_.model.config().vocab_size, limits);
    if (sequences.empty()) continue;  // not one block: nothing could run either
    fill_history(sequences);
    fill_null_block(kPoison);
    fill_inputs(sequences);
    const StepSizes real = parts_.inputs.sizes();
    StepShape shape{.decode_tokens = real.tokens, .prefill_tokens = 0, .scores_prompt = false};
    if (prefill) {
      shape.decode_tokens =
          real.tokens == 1 ? 0 : std::count_if(sequences.begin(), sequences.end(), [](const MadeUp& s) {
            return s.step_tokens == 1;
          });
      shape.prefill_tokens = real.tokens - shape.decode_tokens;
      if (shape.prefill_tokens == 0) continue;  // the others had no blocks
    }
    const int64_t captured = any_size ? real.tokens : size;
    const StepPath path{.mode = RunMode::replay,
                        .recording = index,
                        .captured_size = captured,
                        .padding = captured - real.tokens,
                        .reason = NotReplayed::cudagraph_off};
    if (auto problem = check_made_up(path, shape)) return problem;
  }
  return std::nullopt;
}

// The step that the inputs hold. What a replay refuses is a problem of the capture as well.
std::optional<std::string> StepVerifier::check_made_up(const StepPath& path, const StepShape& shape) {
  try {
    parts_.backend.prepare(path, shape);
    if (auto problem = check_recording(path, shape))
      return fmt::format("[verify] the replay of a step of {} tokens in {} sequences: {}",
                         parts_.inputs.sizes().tokens, parts_.inputs.sizes().seqs, *problem);
    run_poisoned(path, shape, [](graph::NodeId) {});
    if (auto problem = compare(path, shape, /*poisoned=*/true))
      return *problem + " (padding filled with NaN)";
    parts_.backend.run(path, shape, nullptr);
    return compare(path, shape, /*poisoned=*/false);
  } catch (const CaptureError& error) {
    return error.what();
  }
}

std::vector<std::string> StepVerifier::check_captures() {
  std::vector<std::string> problems;
  const ResolvedGraph& config = parts_.backend.config();
  for (const bool prefill : {false, true}) {
    const SizeList& list = prefill ? config.prefill : config.decode;
    for (size_t index = 0; index < list.sizes.size(); ++index) {
      if (const std::string& difference = parts_.backend.difference_of(prefill, index); !difference.empty())
        problems.push_back(difference);
      if (!parts_.backend.is_captured(prefill, index)) continue;
      std::vector<int64_t> sizes = {list.sizes[index]};
      if (list.any_size) sizes = {1, (list.sizes[index] + 1) / 2, list.sizes[index]};
      sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
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

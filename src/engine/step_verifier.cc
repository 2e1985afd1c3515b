#include "engine/step_verifier.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "capture/compare.h"
#include "capture/missing_waits.h"
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
  while (i < a.size() && std::memcmp(&a[i], &b[i], sizeof(float)) == 0) ++i;
  return i / static_cast<size_t>(columns);
}

// FNV-1a.
constexpr uint64_t kHashOfNothing = 0xcbf29ce484222325u;
uint64_t hash_on(uint64_t hash, const std::byte* data, int64_t bytes) {
  for (int64_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<uint64_t>(data[i])) * 0x100000001b3u;
  return hash;
}

// Of the rows of a step.
uint64_t hash_of(const Tensor& tensor, const StepSizes& sizes) {
  return hash_on(kHashOfNothing, tensor.data(), tensor.extent().eval(sizes));
}

// Of the rows whose logits are read.
uint64_t hash_of_picked(const Tensor& tensor, std::span<const int32_t> rows) {
  const int64_t bytes = tensor.shape.row_elements() * static_cast<int64_t>(size_of(tensor.dtype));
  uint64_t hash = kHashOfNothing;
  for (const int32_t row : rows) hash = hash_on(hash, tensor.data() + row * bytes, bytes);
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
        rows_(inputs.forward().logit_rows.as<int32_t>(), static_cast<size_t>(inputs.sizes().seqs)),
        eager_(stream, arena) {}
  ops::Outputs dispatch(const ops::OpCall& call) override {
    ops::Outputs outputs = eager_.dispatch(call);
    for (int i = 0; i < outputs.count; ++i) {
      const Tensor& tensor = outputs.tensors[static_cast<size_t>(i)];
      found.whole.push_back(hash_of(tensor, stream_.sizes()));
      found.picked.push_back(tensor.shape[0] == kTokens ? hash_of_picked(tensor, rows_) : 0);
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
  NodeHashes(const graph::Executor& executor, const StepSizes& sizes)
      : executor_(executor), sizes_(sizes), by_value_(executor.graph().values.size(), 0) {}

  void take(graph::NodeId node) {
    for (const graph::ValueId id : executor_.graph().node(node).outputs)
      if (const Tensor& tensor = executor_.tensor(id); !tensor.shape.elements().is_constant())
        by_value_[static_cast<size_t>(id)] = hash_of(tensor, sizes_);
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
  const ops::SampleBuffers& samples = parts_.samples.tensors();
  std::vector<std::byte> bytes;
  for (const Tensor* tensor : {&samples.tokens, &samples.logprobs, &samples.top_ids, &samples.top_logprobs})
    bytes.insert(bytes.end(), tensor->data(), tensor->data() + tensor->extent().eval(parts_.inputs.sizes()));
  return bytes;
}

std::optional<std::string> StepVerifier::check_step(const StepPath& path, const StepShape& shape) {
  const StepSizes sizes = parts_.inputs.sizes();
  const Tensor& logits = parts_.backend.logits(path, shape);
  const int64_t columns = logits.shape.back().constant;
  const auto* begin = logits.as<float>();
  const std::vector<float> replayed(begin, begin + sizes.seqs * columns);
  const std::vector<std::byte> chosen = choices();
  const std::vector<float> expected = eager_logits();
  const bool same_logits = same_bits(replayed, expected);
  if (same_logits && chosen == choices()) return std::nullopt;
  std::string where = localise(path, shape);
  eager_logits();  // what the search left in the cache and in the choices
  const std::string what = same_logits ? "what it chooses differs from the sampler's own choice"
                                       : fmt::format("it differs from the model's own code in row {}",
                                                     first_row(replayed, expected, columns));
  return fmt::format("[verify] the {} of a step of {} tokens: {}: {}", name_of(path.path), sizes.tokens, what,
                     where);
}

// Where a recording froze what depends on data, or a launch does not wait for what it needs: neither has to
// show in the results of one step.
std::optional<std::string> StepVerifier::check_recording(const StepPath& path, const StepShape& shape) {
  const CapturedStep& step = *parts_.backend.captured(path, shape);
  const CapturedStep fresh = parts_.backend.capture_afresh(path, shape);
  if (step.replays().size() != fresh.replays().size())
    return fmt::format("{}: the step was captured in {} parts and is now captured in {}",
                       name_of(CaptureRule::dynamic_launch), step.replays().size(), fresh.replays().size());
  for (size_t i = 0; i < step.replays().size(); ++i) {
    const capture::Replay& replay = *step.replays()[i];
    const auto& recording = replay.recording();
    if (const auto difference = capture::first_difference(recording, fresh.replays()[i]->recording()))
      return fmt::format("{}: op '{}' of layer '{}' is recorded otherwise than it launches now: {}",
                         name_of(CaptureRule::dynamic_launch), difference->op, difference->layer,
                         difference->what);
    const StepSizes largest = parts_.backend.executor(path, shape).plan().largest;
    if (const auto missing = capture::first_missing_wait(replay, largest)) {
      const capture::RecordedLaunch& later = recording.launches()[missing->later];
      const capture::RecordedLaunch& earlier = recording.launches()[missing->earlier];
      return fmt::format(
          "op '{}' of layer '{}' does not wait for op '{}' of layer '{}', which uses its buffer {}", later.op,
          later.layer, earlier.op, earlier.layer, missing->buffer);
    }
  }
  return std::nullopt;
}

template <typename AfterNode>
void StepVerifier::run_poisoned(CapturedStep& step, const StepSizes& captured, const StepSizes& real,
                                AfterNode&& after_node) {
  std::memset(parts_.arena, kPoison, parts_.backend.arena_bytes());
  const auto poison = [&](const capture::Recording& recording, const capture::RecordedLaunch& launch) {
    for (const capture::RecordedBuffer& buffer : recording.buffers_of(launch)) {
      if (buffer.absent || buffer.access == Access::read || buffer.kind != BufferKind::arena) continue;
      for (const auto& [row_bytes, first, last] :
           {std::tuple(buffer.extent.tokens, real.tokens, captured.tokens),
            std::tuple(buffer.extent.seqs, real.seqs, captured.seqs)})
        if (row_bytes > 0 && first < last)
          std::memset(buffer.address + first * row_bytes, kPoison,
                      static_cast<size_t>((last - first) * row_bytes));
    }
  };
  step.run_slowly(captured, real, poison, after_node);
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
    NodeHashes hashes(executor, sizes);
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
  NodeHashes replayed(executor, sizes);
  step->run_slowly(padded, sizes, nothing, [&](graph::NodeId node) { replayed.take(node); });
  if (const auto node = plain.first_not_as(replayed))
    return named(*node, "as it is replayed: the recording or what was made of it is not the graph");
  NodeHashes poisoned(executor, sizes);
  run_poisoned(*step, padded, sizes, [&](graph::NodeId node) { poisoned.take(node); });
  if (const auto node = plain.first_not_as(poisoned)) return named(*node, "once its padding is NaN");
  // 5. What shows by chance only.
  if (const auto problem = check_recording(path, shape)) return *problem;
  return "every op by itself is equal; the order of the replay is to blame";
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
    parts_.samples.plan_skip(0);
    run_eagerly();
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
    parts_.samples.plan_score(parts_.inputs.sizes().seqs - 1, sequence.tokens.back(), 0);
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
  parts_.backend.prepare(path, shape);
  if (auto problem = check_recording(path, shape))
    return fmt::format("[verify] the replay of a step of {} tokens: {}", real.tokens, *problem);
  for (const bool poisoned : {true, false}) {
    if (poisoned)
      run_poisoned(*parts_.backend.captured(path, shape), parts_.backend.prepare(path, shape), real,
                   [](graph::NodeId) {});
    else
      parts_.backend.run(path, shape, nullptr);
    if (auto problem = check_step(path, shape))
      return fmt::format("{}{}", *problem, poisoned ? " (padding filled with NaN)" : "");
  }
  return std::nullopt;
}

// What a replay refuses is a problem of the capture as well.
std::optional<std::string> StepVerifier::try_capture(bool prefill, int64_t size, bool any_size,
                                                     size_t index) {
  try {
    return check_capture(prefill, size, any_size, index);
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
      if (!parts_.backend.is_captured(prefill, index)) continue;
      std::vector<int64_t> sizes = {list.sizes[index]};
      if (list.any_size) sizes = {1, (list.sizes[index] + 1) / 2, list.sizes[index]};
      for (const int64_t size : sizes)
        if (auto problem = try_capture(prefill, size, list.any_size, index)) {
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

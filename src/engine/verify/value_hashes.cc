#include "engine/verify/value_hashes.h"

#include "ops/op.h"

namespace reprise::engine {
namespace {

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

// Runs the model's code op by op and keeps a hash of every result, in the order in which a trace numbers
// them.
class HashingDispatcher final : public ops::Dispatcher {
 public:
  HashingDispatcher(Stream& stream, StepArena& arena, const StepInputs& inputs)
      : stream_(stream),
        rows_(inputs.host().logit_rows, static_cast<size_t>(inputs.sizes().rows)),
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

}  // namespace

TracedHashes traced_hashes(const VerifierParts& parts) {
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

void NodeHashes::take(graph::NodeId node) {
  for (const graph::ValueId id : executor_.graph().node(node).outputs)
    if (const Tensor& tensor = executor_.tensor(id); !tensor.shape.elements().is_constant())
      by_value_[static_cast<size_t>(id)] = hash_of(stream_, tensor, sizes_);
}

template <typename Differs>
std::optional<graph::NodeId> NodeHashes::first(Differs&& differs) const {
  const graph::Graph& graph = executor_.graph();
  for (size_t node = 0; node < graph.nodes.size(); ++node)
    for (const graph::ValueId id : graph.nodes[node].outputs)
      if (differs(static_cast<size_t>(id), graph.value(id))) return static_cast<graph::NodeId>(node);
  return std::nullopt;
}

std::optional<graph::NodeId> NodeHashes::first_not_as(const NodeHashes& other) const {
  return first([&](size_t id, const graph::Value&) { return by_value_[id] != other.by_value_[id]; });
}

std::optional<graph::NodeId> NodeHashes::first_not_as(const TracedHashes& traced) const {
  return first([&](size_t id, const graph::Value& value) {
    if (value.previous != graph::kNone) return false;
    if (value.traced != graph::kNone) return by_value_[id] != traced.whole[static_cast<size_t>(value.traced)];
    return value.rows_of != graph::kNone && value.picked_by == "logit_rows" &&
           by_value_[id] != traced.picked[static_cast<size_t>(value.rows_of)];
  });
}

}  // namespace reprise::engine

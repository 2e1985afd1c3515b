#include "graph/constant_folder.h"

#include <algorithm>

#include "core/capture_rules.h"
#include "core/error.h"
#include "ops/launch_table.h"

namespace reprise::graph {
namespace {

// Lives as long as the one launch needs it.
class TemporaryWorkspace final : public ops::WorkspaceAllocator {
 public:
  explicit TemporaryWorkspace(MemorySpace& memory) : store_(BufferKind::state, memory) {}
  Tensor workspace(DType dtype, const Shape& shape) override { return store_.allocate(dtype, shape); }

 private:
  HeapStore store_;
};

}  // namespace

std::vector<Tensor> EagerFolder::fold(const Graph& graph, const Node& node) {
  REPRISE_CHECK(node.schema->mutated_inputs == 0, "{} writes an input and is folded", node.schema->name);
  std::array<const Tensor*, ops::OpCall::kMaxInputs> inputs{};
  const Tensor absent;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    inputs[i] = node.inputs[i] == kNone ? &absent : &graph.value(node.inputs[i]).tensor;
    if (node.inputs[i] != kNone && (!*inputs[i] || inputs[i]->buffer->kind != BufferKind::weight))
      throw Error("[fold] the input %{} of {} is no constant with a tensor", graph.value(node.inputs[i]).name,
                  node.schema->name);
  }
  Folded made{.schema = node.schema, .inputs = {}, .attrs = node.attrs, .outputs = {}};
  for (size_t i = 0; i < node.inputs.size(); ++i)
    made.inputs.emplace_back(inputs[i]->buffer.get(), inputs[i]->offset);
  for (const Folded& before : folded_)
    if (before.schema == made.schema && before.inputs == made.inputs && before.attrs == made.attrs)
      return before.outputs;
  const ops::OpCall call(*node.schema, {inputs.data(), node.inputs.size()}, node.attrs);
  ops::OutputSpecs specs;
  node.schema->infer(call, specs);
  for (int i = 0; i < specs.count; ++i) {
    const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
    if (!spec.shape.elements().is_constant())
      throw Error("[fold] {} gives {}, which depends on the step", node.schema->name, to_string(spec.shape));
    made.outputs.push_back(store_.allocate(spec.dtype, spec.shape));
  }
  folded_.push_back(std::move(made));
  const std::vector<Tensor>& outputs = folded_.back().outputs;
  if (dry_) return outputs;
  TemporaryWorkspace workspace(stream_.device().memory());
  const LayerScope layer(node.layer);
  const OpScope op(node.schema->name);
  ops::launch_of(*node.schema, stream_.device().kind()).launch(call, stream_, outputs, workspace);
  return outputs;
}

Tensor EagerFolder::constant(DType dtype, const Shape& shape, const void* bytes) {
  const auto* const begin = static_cast<const std::byte*>(bytes);
  const auto* const end = begin + static_cast<size_t>(shape.elements().constant) * size_of(dtype);
  for (const Constant& before : constants_)
    if (before.tensor.dtype == dtype && before.tensor.shape == shape &&
        std::equal(before.bytes.begin(), before.bytes.end(), begin, end))
      return before.tensor;
  constants_.push_back({.bytes = {begin, end}, .tensor = store_.allocate(dtype, shape)});
  const Constant& made = constants_.back();
  if (!dry_) store_.space()->upload(made.tensor.data(), made.bytes.data(), made.bytes.size());
  return made.tensor;
}

}  // namespace reprise::graph

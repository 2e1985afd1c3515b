#include "ops/op.h"

#include "core/error.h"
#include "ops/launch_table.h"

namespace reprise::ops {
namespace {

thread_local Dispatcher* current_dispatcher = nullptr;
const Tensor kAbsent{};

}  // namespace

OpCall::OpCall(const OpSchema& of, std::initializer_list<const Tensor*> in,
               std::initializer_list<AttrValue> with, Where from)
    : OpCall(of, std::span(in.begin(), in.size()), std::span(with.begin(), with.size())) {
  where = from;
}

OpCall::OpCall(const OpSchema& of, std::span<const Tensor* const> in, std::span<const AttrValue> with)
    : schema(of) {
  REPRISE_CHECK(
      in.size() <= kMaxInputs && with.size() == of.attr_names.size() && in.size() == of.input_names.size(),
      "[{}] called with {} inputs and {} attributes", of.name, in.size(), with.size());
  for (const Tensor* tensor : in) inputs[static_cast<size_t>(input_count++)] = tensor;
  for (const AttrValue& value : with) attrs[static_cast<size_t>(attr_count++)] = value;
}

const Tensor& OpCall::optional(int i) const {
  return has(i) ? input(i) : kAbsent;
}

Outputs dispatch(const OpCall& call) {
  REPRISE_CHECK(current_dispatcher != nullptr, "[{}] is called outside of a step", call.schema.name);
  return current_dispatcher->dispatch(call);
}

const std::byte* host_read(const Tensor& tensor) {
  REPRISE_CHECK(current_dispatcher != nullptr, "a value is read outside of a step");
  return current_dispatcher->read(tensor);
}

DispatchScope::DispatchScope(Dispatcher& dispatcher) : previous_(current_dispatcher) {
  current_dispatcher = &dispatcher;
}
DispatchScope::~DispatchScope() {
  current_dispatcher = previous_;
}

Outputs EagerDispatcher::dispatch(const OpCall& call) {
  OutputSpecs specs;
  call.schema.infer(call, specs);
  Outputs outputs;
  outputs.count = specs.count;
  for (int i = 0; i < specs.count; ++i) {
    const OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
    outputs.tensors[static_cast<size_t>(i)] = arena_.allocate(spec.dtype, spec.shape);
  }
  const OpScope scope(call.schema.name);
  launch_of(call.schema, stream_.device().kind())
      .launch(call, stream_, {outputs.tensors.data(), static_cast<size_t>(outputs.count)}, *this);
  return outputs;
}

}  // namespace reprise::ops

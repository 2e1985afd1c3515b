#include "capture/binding.h"

#include <fmt/format.h>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "core/error.h"

namespace reprise::capture {
namespace {

// The first launch that touches the tensor's bytes; null where none does.
const RecordedLaunch* first_user(std::span<const Recording* const> parts, const Tensor& tensor,
                                 StepSizes largest) {
  const std::byte* begin = tensor.data();
  const std::byte* end = begin + tensor.extent().eval(largest);
  for (const Recording* recording : parts)
    for (const RecordedLaunch& launch : recording->launches())
      for (const RecordedBuffer& buffer : recording->buffers_of(launch))
        if (buffer.address != nullptr && buffer.address < end &&
            begin < buffer.address + buffer.extent.eval(largest))
          return &launch;
  return nullptr;
}

bool within(int64_t value, int64_t least, int64_t most) {
  return least <= value && value <= most;
}

}  // namespace

Binding::Binding(ReplayKey key, std::span<const NamedInput> inputs, std::span<const Recording* const> parts)
    : key_(key) {
  for (const NamedInput& input : inputs) {
    const Tensor& tensor = input.tensor;
    const RecordedLaunch* user = first_user(parts, tensor, key.largest);
    inputs_.push_back({.name = input.name,
                       .address = tensor.data(),
                       .dtype = tensor.dtype,
                       .packing = tensor.packing,
                       .shape = tensor.shape,
                       .op = std::string(user == nullptr ? "" : user->op),
                       .layer = std::string(user == nullptr ? "" : user->layer)});
  }
  if (parts.empty() || parts.front()->empty()) return;
  op_ = parts.front()->launches().front().op;
  layer_ = parts.front()->launches().front().layer;
}

void Binding::check(StepSizes sizes, std::span<const Tensor* const> inputs) const {
  if (!within(sizes.tokens, key_.smallest.tokens, key_.largest.tokens) ||
      !within(sizes.seqs, key_.smallest.seqs, key_.largest.seqs) ||
      !within(sizes.rows, key_.smallest.rows, key_.largest.rows))
    throw CaptureError(
        CaptureRule::shape_changed, op_, layer_,
        fmt::format("a step of T={} S={} R={} where the recording serves T={}..{} S={}..{} R={}..{}",
                    sizes.tokens, sizes.seqs, sizes.rows, key_.smallest.tokens, key_.largest.tokens,
                    key_.smallest.seqs, key_.largest.seqs, key_.smallest.rows, key_.largest.rows));
  REPRISE_CHECK(inputs.size() == inputs_.size(), "a step of {} inputs on a recording with {}", inputs.size(),
                inputs_.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Captured& was = inputs_[i];
    const Tensor& is = *inputs[i];
    if (is.data() != was.address || is.dtype != was.dtype || is.packing != was.packing ||
        is.shape != was.shape)
      refuse(was, is);
  }
}

void Binding::refuse(const Captured& was, const Tensor& is) {
  if (is.data() != was.address)
    throw CaptureError(CaptureRule::address_changed, was.op, was.layer,
                       fmt::format("input '{}' lies at {}, at capture it lay at {}", was.name,
                                   fmt::ptr(is.data()), fmt::ptr(was.address)));
  throw CaptureError(
      CaptureRule::shape_changed, was.op, was.layer,
      fmt::format("input '{}' is {} {}, at capture it was {} {}{}", was.name, name_of(is.dtype),
                  to_string(is.shape), name_of(was.dtype), to_string(was.shape),
                  is.packing == was.packing ? "" : " in another packing"));
}

}  // namespace reprise::capture

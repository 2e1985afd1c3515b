// What must still hold when a recording is replayed: its inputs lie where they did when it was made, and the
// step's sizes are among those that it serves. Checked before each replay, which would otherwise read old
// buffers without a sign of it.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "capture/recording.h"

namespace reprise::capture {

// Sizes that a recording serves, both ends included: one size, or a range where it is polymorphic.
struct ReplayKey {
  StepSizes smallest, largest;
};

struct NamedInput {
  std::string name;  // "token_ids"
  Tensor tensor;
};

class Binding {
 public:
  // The inputs as they were at the capture of a step, of which `parts` are the recordings in their order.
  Binding(ReplayKey key, std::span<const NamedInput> inputs, std::span<const Recording* const> parts);

  // The step to replay: its sizes, and the same inputs in the same order. Throws CaptureError (shape_changed,
  // address_changed) naming the input and the first op and layer that use it. Allocates nothing otherwise.
  void check(StepSizes sizes, std::span<const Tensor* const> inputs) const;

 private:
  struct Captured {
    std::string name;
    const std::byte* address;
    DType dtype;
    Packing packing;
    Shape shape;
    std::string op, layer;  // first user
  };
  [[noreturn]] static void refuse(const Captured& was, const Tensor& is);

  ReplayKey key_;
  std::vector<Captured> inputs_;
  std::string op_, layer_;  // of the first launch
};

}  // namespace reprise::capture

// Runs one op by its schema alone: any op, any inputs, at any ISA level, and gives back every bit that it
// left. Used by the generic tests of this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/isa.h"
#include "ops/op.h"

namespace reprise::ops::testing {

using Bytes = std::vector<std::byte>;

struct Operand {
  DType dtype = DType::f32;
  Packing packing = kRowMajor;
  Shape shape;
  Bytes bytes = {};  // empty: an optional input that is absent
};

struct OpCase {
  std::string what;  // for messages
  const OpSchema* schema = nullptr;
  StepSizes sizes;
  std::vector<Operand> inputs;
  std::vector<AttrValue> attrs = {};
};

// For each output the input whose storage it takes, -1: storage of its own.
using Shares = std::array<int, Outputs::kMax>;
inline constexpr Shares kNoShares = {-1, -1, -1, -1};

struct Result {
  std::vector<Bytes> outputs;
  std::vector<Shape> shapes;
  std::vector<Bytes> inputs;  // as the op left them
  bool operator==(const Result&) const = default;
};

// The op's own launches. Outputs hold NaN before. Expects that inputs which the op doesn't mutate, or share
// with an output, are as they were, and that nothing is written beyond an output.
Result run_launch(const OpCase& op, Isa isa, const Shares& shares = kNoShares);
// The scalars of its launches as a recording keeps them, one after the other. Nothing runs.
Bytes record_scalars(const OpCase& op, Isa isa);
// Its body, by the interpreter of loop programs.
Result run_body(const OpCase& op, Isa isa);
// The plainer ops that it says it is.
Result run_decomposed(const OpCase& op, Isa isa);
// Dtypes and shapes of the outputs; throws what the op throws.
OutputSpecs infer(const OpCase& op);

// Normally distributed.
Operand random(DType dtype, Shape shape, StepSizes sizes, uint32_t seed);
Operand packed(DType dtype, int64_t n, int64_t k, uint32_t seed);
Operand integers(Shape shape, const std::vector<int32_t>& values);
Operand absent();

}  // namespace reprise::ops::testing

// What an op is. Model code calls plain functions (ops::rms_norm(x, w, eps)); each packs its arguments into
// an `OpCall` and hands it to the thread's dispatcher: the eager one launches at once, the tracer of a graph
// notes a node. So the same model code serves dynamic and static graphs, and passes ask for an op's `kind`
// instead of its name.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <source_location>
#include <span>
#include <string_view>
#include <variant>

#include "core/launch.h"
#include "core/tensor.h"
#include "loop/builder.h"

namespace reprise::ops {

enum class OpKind : uint8_t { elementwise, reduction, matmul, attention, data_movement, collective, opaque };

using AttrValue = std::variant<int64_t, double, DType, Dim>;

// The line of the model's code that called an op: the last parameter of every op function, never given.
using Where = std::source_location;

struct OpLaunch;
struct OpSchema;

// One call of an op: inputs and attributes in the order of the schema's names. Lives on the stack of the
// call.
struct OpCall {
  static constexpr int kMaxInputs = 12;
  static constexpr int kMaxAttrs = 12;

  const OpSchema& schema;
  std::array<const Tensor*, kMaxInputs> inputs{};  // null: an optional input that is absent
  int input_count = 0;
  std::array<AttrValue, kMaxAttrs> attrs{};
  int attr_count = 0;
  Where where;

  OpCall(const OpSchema& of, std::initializer_list<const Tensor*> in,
         std::initializer_list<AttrValue> with = {}, Where from = {});
  OpCall(const OpSchema& of, std::span<const Tensor* const> in, std::span<const AttrValue> with);

  const Tensor& input(int i) const { return *inputs[static_cast<size_t>(i)]; }
  bool has(int i) const { return i < input_count && inputs[static_cast<size_t>(i)] != nullptr && input(i); }
  // The input, or an empty tensor where an optional one is absent.
  const Tensor& optional(int i) const;
  int64_t integer(int i) const { return std::get<int64_t>(attrs[static_cast<size_t>(i)]); }
  double real(int i) const { return std::get<double>(attrs[static_cast<size_t>(i)]); }
  DType dtype(int i) const { return std::get<DType>(attrs[static_cast<size_t>(i)]); }
};

struct OutputSpec {
  DType dtype;
  Shape shape;
};

struct Outputs {
  static constexpr int kMax = 4;
  std::array<Tensor, kMax> tensors;
  int count = 0;
};

struct OutputSpecs {
  std::array<OutputSpec, Outputs::kMax> specs{};
  int count = 0;
  void add(DType dtype, const Shape& shape) { specs[static_cast<size_t>(count++)] = {dtype, shape}; }
};

// Where a launch gets memory that only this op needs.
class WorkspaceAllocator {
 public:
  virtual Tensor workspace(DType dtype, const Shape& shape) = 0;

 protected:
  ~WorkspaceAllocator() = default;
};

struct OpSchema {
  std::string_view name;
  OpKind kind;
  std::span<const std::string_view> input_names = {};
  std::span<const std::string_view> attr_names = {};
  // Bit i: input i is written (KV cache, sampler state). Each write makes a new version of that state: a
  // graph's node has, after the outputs that `infer` adds, one more for each mutated input, in the order of
  // the inputs.
  uint32_t mutated_inputs = 0;
  // Row r of each output depends on row r of those inputs that have the output's first dimension, and on the
  // others as a whole: so an output of which few rows are read may be computed for these alone. Its launch
  // then takes the rows from its inputs' shapes, not from T; an op that mutates is never row-wise.
  bool row_wise = false;
  // For output i, the inputs (bits) whose storage it may take, because the kernel reads an element before it
  // writes there. Each output may do so at the same time, with an input of its own.
  std::array<uint16_t, Outputs::kMax> may_share = {};
  // Its launches can be recorded. Without it the op runs between two recorded parts of a step, and its launch
  // (ops/launch_table.h) is called only where it may run.
  bool capturable = true;

  // Dtypes and shapes of the outputs. Throws Error when the inputs don't fit together.
  void (*infer)(const OpCall& call, OutputSpecs& outputs) = nullptr;
  // The same in plainer ops: what a fused op means, bit by bit. Null: the op is primitive.
  Outputs (*decompose)(const OpCall& call) = nullptr;
  // What a row of the outputs is, on values of loop programs: `inputs` by position (numbers of a row, or one of
  // each column where the input has one dimension; no builder where it is absent), `outputs` by position, before
  // they are rounded. The bits of the launch. It may ask `call` for attributes, dtypes and shapes. Null: it is no
  // function over rows, or nobody fuses it. See loop_body.h.
  void (*body)(const OpCall& call, std::span<const loop::Value> inputs,
               std::span<loop::Value> outputs) = nullptr;
  // Its launch, on the device that it was made for: of an op that a KernelCompiler generated. Null: it stands
  // in the table of launches.
  const OpLaunch* generated = nullptr;
};

class Dispatcher {
 public:
  virtual Outputs dispatch(const OpCall& call) = 0;
  // The bytes of `tensor`, once everything before has run. Throws CaptureError where the value would be
  // frozen (traced or recorded).
  virtual const std::byte* read(const Tensor& tensor) = 0;

 protected:
  ~Dispatcher() = default;
};

// Sends `call` to this thread's dispatcher. Throws InternalError where none is installed.
Outputs dispatch(const OpCall& call);
inline Tensor dispatch_one(const OpCall& call) {
  return dispatch(call).tensors[0];
}

// What the host sees of a value in the middle of a model's code. A model that does this can run op by op
// only.
const std::byte* host_read(const Tensor& tensor);

// Installs a dispatcher on this thread for a scope.
class DispatchScope {
 public:
  explicit DispatchScope(Dispatcher& dispatcher);
  ~DispatchScope();
  DispatchScope(const DispatchScope&) = delete;
  DispatchScope& operator=(const DispatchScope&) = delete;

 private:
  Dispatcher* previous_;
};

// Runs each op at once: outputs from the arena, launches to the stream.
class EagerDispatcher final : public Dispatcher, public WorkspaceAllocator {
 public:
  EagerDispatcher(Stream& stream, StepArena& arena) : stream_(stream), arena_(arena) {}
  Outputs dispatch(const OpCall& call) override;
  const std::byte* read(const Tensor& tensor) override { return stream_.read_back(tensor); }
  Tensor workspace(DType dtype, const Shape& shape) override { return arena_.allocate(dtype, shape); }

 private:
  Stream& stream_;
  StepArena& arena_;
};

}  // namespace reprise::ops

#include "tests/ops/op_rig.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <random>

#include "core/recording_scope.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/loop.h"
#include "kernels/cpu/pack.h"
#include "ops/cpu/loop.h"
#include "ops/launch_table.h"
#include "ops/loop_body.h"

namespace reprise::ops::testing {
namespace {

constexpr size_t kGuard = 64;  // bytes behind every tensor that nothing may touch
constexpr std::byte kGuardByte{0xa5};
constexpr std::byte kPoison{0xff};  // NaN in f32 and bf16

std::vector<float> normal(int64_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = distribution(generator);
  return values;
}

// The tensors of one run, and the call over them.
class Run {
 public:
  Run(const OpCase& op, Isa isa)
      : op_(op), device_(team(), isa), stream_(device_), arena_(host_memory(), size_t{1} << 20) {
    stream_.set_sizes(op.sizes);
    arena_.set_sizing(op.sizes);
    tensors_.reserve(op.inputs.size());
    std::vector<const Tensor*> pointers;
    for (const Operand& operand : op.inputs) {
      tensors_.push_back(operand.bytes.empty() ? Tensor{} : place(operand));
      pointers.push_back(&tensors_.back());
    }
    call_.emplace(*op.schema, pointers, op.attrs);
  }

  Result launch(const Shares& shares, bool by_body = false) {
    OutputSpecs specs;
    op_.schema->infer(*call_, specs);
    std::vector<Tensor> outputs;
    for (int i = 0; i < specs.count; ++i) {
      const OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
      const auto bytes = static_cast<size_t>(spec.shape.elements().eval(op_.sizes)) * size_of(spec.dtype);
      const int from = shares[static_cast<size_t>(i)];
      outputs.push_back(
          from < 0 ? place({.dtype = spec.dtype, .shape = spec.shape, .bytes = Bytes(bytes, kPoison)})
                   : tensors_[static_cast<size_t>(from)]);
    }
    EagerDispatcher workspace(stream_, arena_);
    if (by_body)
      launch_body(outputs);
    else
      launch_of(*op_.schema, DeviceKind::cpu).launch(*call_, stream_, outputs, workspace);
    expect_guards();
    Result result = result_of(outputs);
    for (size_t i = 0; i < op_.inputs.size(); ++i) {
      const bool shared = std::find(shares.begin(), shares.end(), static_cast<int>(i)) != shares.end();
      const bool mutated = (op_.schema->mutated_inputs >> i & 1) != 0;
      EXPECT_TRUE(shared || mutated || result.inputs[i] == op_.inputs[i].bytes)
          << op_.what << ": wrote to input " << i;
    }
    return result;
  }

  Bytes scalars() {
    class Sink final : public LaunchSink {
     public:
      void append(const Launch& launch) override {
        const auto* begin = static_cast<const std::byte*>(launch.scalars);
        bytes.insert(bytes.end(), begin, begin + launch.scalar_bytes);
      }
      std::string_view last_kernel() const override { return {}; }
      Bytes bytes;
    } sink;
    OutputSpecs specs;
    op_.schema->infer(*call_, specs);
    std::vector<Tensor> outputs;
    for (int i = 0; i < specs.count; ++i)
      outputs.push_back(arena_.allocate(specs.specs[static_cast<size_t>(i)].dtype,
                                        specs.specs[static_cast<size_t>(i)].shape));
    EagerDispatcher workspace(stream_, arena_);
    const RecordingScope recording(stream_, sink);
    launch_of(*op_.schema, DeviceKind::cpu).launch(*call_, stream_, outputs, workspace);
    return sink.bytes;
  }

  Result decomposed() {
    EagerDispatcher eager(stream_, arena_);
    const DispatchScope scope(eager);
    const Outputs outputs = op_.schema->decompose(*call_);
    return result_of({outputs.tensors.begin(), outputs.tensors.begin() + outputs.count});
  }

  OutputSpecs infer() {
    OutputSpecs specs;
    op_.schema->infer(*call_, specs);
    return specs;
  }

 private:
  static ThreadTeam& team() {
    static ThreadTeam workers(2);
    return workers;
  }

  void launch_body(std::span<const Tensor> outputs) {
    kernels::cpu::LoopCode code;
    code.program = program_of(*call_);
    std::vector<const Tensor*> inputs;
    for (int i = 0; i < call_->input_count; ++i)
      if (call_->has(i)) inputs.push_back(&call_->input(i));
    cpu::launch_code(code, op_.schema->name, stream_, inputs, outputs);
  }

  Tensor place(const Operand& operand) {
    Tensor tensor = store_.allocate(DType::i8, {static_cast<int64_t>(operand.bytes.size() + kGuard)});
    tensor.dtype = operand.dtype;
    tensor.packing = operand.packing;
    tensor.shape = operand.shape;
    std::copy(operand.bytes.begin(), operand.bytes.end(), tensor.data());
    std::fill_n(tensor.data() + operand.bytes.size(), kGuard, kGuardByte);
    guards_.push_back(tensor.data() + operand.bytes.size());
    return tensor;
  }

  void expect_guards() const {
    for (const std::byte* guard : guards_)
      EXPECT_TRUE(std::all_of(guard, guard + kGuard, [](std::byte b) { return b == kGuardByte; }))
          << op_.what << ": wrote beyond a tensor";
  }

  Result result_of(const std::vector<Tensor>& outputs) const {
    Result result;
    for (const Tensor& tensor : outputs) {
      result.outputs.emplace_back(tensor.data(), tensor.data() + tensor.extent().eval(op_.sizes));
      result.shapes.push_back(tensor.shape);
    }
    for (size_t i = 0; i < tensors_.size(); ++i)
      result.inputs.push_back(
          tensors_[i] ? Bytes(tensors_[i].data(), tensors_[i].data() + op_.inputs[i].bytes.size()) : Bytes{});
    return result;
  }

  const OpCase& op_;
  CpuDevice device_;
  Stream stream_;
  StepArena arena_;
  HeapStore store_{BufferKind::input, host_memory()};
  std::vector<Tensor> tensors_;
  std::vector<const std::byte*> guards_;
  std::optional<OpCall> call_;
};

}  // namespace

Result run_launch(const OpCase& op, Isa isa, const Shares& shares) {
  return Run(op, isa).launch(shares);
}
Result run_body(const OpCase& op, Isa isa) {
  return Run(op, isa).launch(kNoShares, true);
}
Bytes record_scalars(const OpCase& op, Isa isa) {
  return Run(op, isa).scalars();
}
Result run_decomposed(const OpCase& op, Isa isa) {
  return Run(op, isa).decomposed();
}
OutputSpecs infer(const OpCase& op) {
  return Run(op, Isa::scalar).infer();
}

Operand random(DType dtype, Shape shape, StepSizes sizes, uint32_t seed) {
  const std::vector<float> values = normal(shape.elements().eval(sizes), seed);
  Operand operand{.dtype = dtype, .shape = shape, .bytes = Bytes(values.size() * size_of(dtype))};
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t half = f32_to_bf16(values[i]);
    if (dtype == DType::bf16)
      std::memcpy(operand.bytes.data() + 2 * i, &half, 2);
    else
      std::memcpy(operand.bytes.data() + 4 * i, &values[i], 4);
  }
  return operand;
}

Operand packed(DType dtype, int64_t n, int64_t k, uint32_t seed) {
  const std::vector<float> rows = normal(n * k, seed);
  Operand weight{.dtype = dtype,
                 .packing = kernels::cpu::packing_of(dtype),
                 .shape = Shape{n, k},
                 .bytes = Bytes(kernels::cpu::packed_bytes(dtype, n, k))};
  kernels::cpu::pack_rows(dtype, rows.data(), 0, n, n, k, weight.bytes.data());
  return weight;
}

Operand integers(Shape shape, const std::vector<int32_t>& values) {
  Operand operand{.dtype = DType::i32, .shape = shape, .bytes = Bytes(values.size() * sizeof(int32_t))};
  std::memcpy(operand.bytes.data(), values.data(), operand.bytes.size());
  return operand;
}

Operand absent() {
  return {};
}

}  // namespace reprise::ops::testing

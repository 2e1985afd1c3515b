#include "ops/cpu/loop.h"

#include <array>
#include <compare>
#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "ops/loop_body.h"

namespace reprise::ops::cpu {
namespace {

// What the program of a call depends on. Ops that are launched this way have no attributes.
struct BodyKey {
  const OpSchema* schema;
  int64_t columns;
  DType dtype;
  uint32_t per_column;  // bits of inputs
  auto operator<=>(const BodyKey&) const = default;
};

BodyKey key_of(const OpCall& call) {
  BodyKey key{
      .schema = &call.schema, .columns = body_columns(call), .dtype = call.input(0).dtype, .per_column = 0};
  for (int i = 0; i < call.input_count; ++i)
    if (call.has(i) && is_per_column(call.input(i).shape)) key.per_column |= 1u << i;
  return key;
}

// Programs stay: recordings name them.
const kernels::cpu::LoopCode& code_of(const OpCall& call) {
  static std::mutex mutex;
  static std::map<BodyKey, std::unique_ptr<kernels::cpu::LoopCode>> codes;
  const BodyKey key = key_of(call);
  const std::lock_guard lock(mutex);
  std::unique_ptr<kernels::cpu::LoopCode>& code = codes[key];
  if (code == nullptr) {
    auto made = std::make_unique<kernels::cpu::LoopCode>();
    made->program = program_of(call);
    code = std::move(made);
  }
  return *code;
}

}  // namespace

void launch_body(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  REPRISE_CHECK(call.attr_count == 0, "{} has attributes", call.schema.name);
  std::array<const Tensor*, OpCall::kMaxInputs> inputs{};
  size_t count = 0;
  for (int i = 0; i < call.input_count; ++i)
    if (call.has(i)) inputs[count++] = &call.input(i);
  launch_code(code_of(call), call.schema.name, stream, {inputs.data(), count}, outputs);
}

void launch_code(const kernels::cpu::LoopCode& code, std::string_view name, Stream& stream,
                 std::span<const Tensor* const> inputs, std::span<const Tensor> outputs) {
  std::array<BufferArg, Launch::kMaxBuffers> buffers;
  size_t count = 0;
  for (const Tensor* input : inputs) buffers[count++] = reads(*input);
  for (const Tensor& output : outputs) buffers[count++] = writes(output);
  const Shape& shape = outputs[0].shape;
  const Dim rows = shape[0] * (shape.row_elements() / code.program.columns);
  const Kernel& interpreter = kernels::cpu::loop_program_kernel(cpu_of(stream).isa(), DType::f32);
  stream.launch(Kernel{name, interpreter.run}, kernels::cpu::loop_dims(code.program, rows),
                std::span<const BufferArg>(buffers.data(), count), kernels::cpu::LoopScalars{&code});
}

}  // namespace reprise::ops::cpu

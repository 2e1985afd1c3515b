#include "ops/loop_body.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.h"

namespace reprise::ops {
namespace {

bool is_number(const Tensor& tensor) {
  return (tensor.dtype == DType::f32 || tensor.dtype == DType::bf16) && !tensor.packing.is_packed();
}

}  // namespace

bool is_per_column(const Shape& shape) {
  return shape.rank() == 1 && shape[0].is_constant();
}

int64_t body_columns(const OpCall& call) {
  if (call.schema.body == nullptr || call.input_count == 0 || !call.has(0)) return 0;
  const Tensor& first = call.input(0);
  if (is_per_column(first.shape)) return 0;
  int64_t columns = first.shape.row_elements();
  bool per_column = false;
  for (int i = 0; i < call.input_count; ++i) {
    if (!call.has(i)) continue;
    const Tensor& input = call.input(i);
    if (!is_number(input)) return 0;
    if (!is_per_column(input.shape)) {
      if (input.shape != first.shape) return 0;
      continue;
    }
    const int64_t elements = input.shape[0].constant;
    if (elements < 1 || first.shape.row_elements() % elements != 0 || (per_column && elements != columns))
      return 0;
    columns = elements;
    per_column = true;
  }
  return columns;
}

void write_body(const OpCall& call, std::span<const loop::Value> inputs, std::span<loop::Value> outputs) {
  call.schema.body(call, inputs, outputs);
  OutputSpecs specs;
  call.schema.infer(call, specs);
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = loop::round(outputs[i], specs.specs[i].dtype);
}

loop::Program program_of(const OpCall& call) {
  const int64_t columns = body_columns(call);
  if (columns == 0) throw Error("[{}] is no function over rows of these inputs", call.schema.name);
  loop::Builder builder(std::string(call.schema.name), columns);
  std::array<loop::Value, OpCall::kMaxInputs> inputs;
  for (int i = 0; i < call.input_count; ++i) {
    if (!call.has(i)) continue;
    const Tensor& input = call.input(i);
    inputs[static_cast<size_t>(i)] =
        builder.read("in" + std::to_string(i), input.dtype,
                     is_per_column(input.shape) ? loop::Place::column : loop::Place::row);
  }
  OutputSpecs specs;
  call.schema.infer(call, specs);
  std::array<loop::Value, Outputs::kMax> outputs;
  const std::span results(outputs.data(), static_cast<size_t>(specs.count));
  write_body(call, {inputs.data(), static_cast<size_t>(call.input_count)}, results);
  for (size_t i = 0; i < results.size(); ++i)
    builder.write("out" + std::to_string(i), specs.specs[i].dtype, results[i]);
  return builder.finish();
}

}  // namespace reprise::ops

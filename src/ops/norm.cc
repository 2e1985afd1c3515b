#include "ops/norm.h"

#include "core/error.h"
#include "ops/elementwise.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kRmsInputs[] = {"x", "weight"};
constexpr std::string_view kLayerInputs[] = {"x", "weight", "bias"};
constexpr std::string_view kAddRmsInputs[] = {"x", "residual", "weight"};
constexpr std::string_view kNormAttrs[] = {"eps"};

void check_norm(const OpCall& call, const Tensor& x, const Tensor& weight) {
  const int64_t dim = weight.shape.elements().constant;
  if (weight.dtype != DType::f32 || weight.shape.rank() != 1 || dim == 0 || x.shape.row_elements() % dim != 0)
    throw Error("[{}] x is {}, the weight {} {}; x's rows must be whole groups of the weight's elements",
                call.schema.name, to_string(x.shape), name_of(weight.dtype), to_string(weight.shape));
}

void infer_norm(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  check_norm(call, x, call.input(1));
  outputs.add(x.dtype, x.shape);
}

void infer_add(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const Tensor& residual = call.input(1);
  check_norm(call, x, call.input(2));
  if (residual.shape != x.shape || residual.dtype != x.dtype)
    throw Error("[add_rms_norm] x is {} {}, the residual {} {}; both must have one shape and dtype",
                name_of(x.dtype), to_string(x.shape), name_of(residual.dtype), to_string(residual.shape));
  outputs.add(x.dtype, x.shape);
  outputs.add(x.dtype, x.shape);
}

using LoopValue = loop::Value;
using Values = std::span<const LoopValue>;
using Results = std::span<LoopValue>;

LoopValue columns_of(LoopValue value) {
  return like(value, static_cast<float>(value.builder->columns()));
}
LoopValue scale_of(const OpCall& call, LoopValue mean_square) {
  return like(mean_square, 1.0f) / sqrt(mean_square + like(mean_square, static_cast<float>(call.real(0))));
}
LoopValue rms_of(const OpCall& call, LoopValue x, LoopValue weight) {
  const LoopValue scale = scale_of(call, sum_of_products(x, x) / columns_of(x));
  return round(x * scale, call.input(0).dtype) * weight;
}

void rms_body(const OpCall& call, Values in, Results out) {
  out[0] = rms_of(call, in[0], in[1]);
}
void add_rms_body(const OpCall& call, Values in, Results out) {
  out[0] = round(in[0] + in[1], call.input(0).dtype);
  out[1] = rms_of(call, out[0], in[2]);
}
void layer_body(const OpCall& call, Values in, Results out) {
  const LoopValue centred = in[0] - sum(in[0]) / columns_of(in[0]);
  const LoopValue scale = scale_of(call, sum_of_products(centred, centred) / columns_of(in[0]));
  out[0] = centred * scale * in[1];
  if (in[2].builder != nullptr) out[0] = out[0] + in[2];
}

Outputs decompose_add(const OpCall& call) {
  Tensor sum = add(call.input(0), call.input(1), call.where);
  Tensor y = rms_norm(sum, call.input(2), call.real(0), call.where);
  return {.tensors = {std::move(sum), std::move(y)}, .count = 2};
}

}  // namespace

const OpSchema kRmsNorm{.name = "rms_norm",
                        .kind = OpKind::reduction,
                        .input_names = kRmsInputs,
                        .attr_names = kNormAttrs,
                        .row_wise = true,
                        .may_share = {0b1},
                        .infer = infer_norm,
                        .body = rms_body};
const OpSchema kLayerNorm{.name = "layer_norm",
                          .kind = OpKind::reduction,
                          .input_names = kLayerInputs,
                          .attr_names = kNormAttrs,
                          .row_wise = true,
                          .may_share = {0b1},
                          .infer = infer_norm,
                          .body = layer_body};
const OpSchema kAddRmsNorm{.name = "add_rms_norm",
                           .kind = OpKind::reduction,
                           .input_names = kAddRmsInputs,
                           .attr_names = kNormAttrs,
                           .row_wise = true,
                           .may_share = {0b11, 0b11},
                           .infer = infer_add,
                           .decompose = decompose_add,
                           .body = add_rms_body};

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, Where where) {
  return dispatch_one(OpCall(kRmsNorm, {&x, &weight}, {eps}, where));
}
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Where where) {
  return dispatch_one(OpCall(kLayerNorm, {&x, &weight, &bias}, {eps}, where));
}

}  // namespace reprise::ops

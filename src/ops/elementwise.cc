#include "ops/elementwise.h"

#include "core/error.h"
#include "loop/functions.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kUnaryInputs[] = {"x"};
constexpr std::string_view kBinaryInputs[] = {"a", "b"};
constexpr std::string_view kGatedInputs[] = {"gate", "up"};

void infer_elementwise(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& a = call.input(0);
  for (int i = 1; i < call.input_count; ++i)
    if (call.input(i).shape != a.shape || call.input(i).dtype != a.dtype)
      throw Error("[{}] {} {} and {} {} differ; both must have one shape and dtype", call.schema.name,
                  name_of(a.dtype), to_string(a.shape), name_of(call.input(i).dtype),
                  to_string(call.input(i).shape));
  outputs.add(a.dtype, a.shape);
}

using LoopValue = loop::Value;
using Values = std::span<const LoopValue>;
using Results = std::span<LoopValue>;
using Function = LoopValue (*)(LoopValue);

void add_body(const OpCall&, Values in, Results out) {
  out[0] = in[0] + in[1];
}
void mul_body(const OpCall&, Values in, Results out) {
  out[0] = in[0] * in[1];
}
template <Function activation>
void unary_body(const OpCall&, Values in, Results out) {
  out[0] = activation(in[0]);
}
template <Function activation>
void gated_body(const OpCall& call, Values in, Results out) {
  out[0] = loop::round(activation(in[0]), call.input(0).dtype) * in[1];
}

template <Tensor (*activation)(const Tensor&, Where)>
Outputs decompose_gated(const OpCall& call) {
  return {.tensors = {mul(activation(call.input(0), call.where), call.input(1), call.where)}, .count = 1};
}

constexpr OpSchema schema(std::string_view name, std::span<const std::string_view> inputs,
                          decltype(OpSchema::body) body) {
  return {.name = name,
          .kind = OpKind::elementwise,
          .input_names = inputs,
          .row_wise = true,
          .may_share = {static_cast<uint16_t>((1u << inputs.size()) - 1)},
          .infer = infer_elementwise,
          .body = body};
}

template <Tensor (*activation)(const Tensor&, Where), Function function>
constexpr OpSchema gated_schema(std::string_view name) {
  OpSchema gated = schema(name, kGatedInputs, gated_body<function>);
  gated.decompose = decompose_gated<activation>;
  return gated;
}

constexpr Function kSiluOf = loop::functions::silu<LoopValue>;
constexpr Function kGeluOf = loop::functions::gelu<LoopValue>;
constexpr Function kGeluTanhOf = loop::functions::gelu_tanh<LoopValue>;

}  // namespace

const OpSchema kAdd = schema("add", kBinaryInputs, add_body);
const OpSchema kMul = schema("mul", kBinaryInputs, mul_body);
const OpSchema kSilu = schema("silu", kUnaryInputs, unary_body<kSiluOf>);
const OpSchema kGelu = schema("gelu", kUnaryInputs, unary_body<kGeluOf>);
const OpSchema kGeluTanh = schema("gelu_tanh", kUnaryInputs, unary_body<kGeluTanhOf>);
const OpSchema kSiluMul = gated_schema<silu, kSiluOf>("silu_mul");
const OpSchema kGeluMul = gated_schema<gelu, kGeluOf>("gelu_mul");
const OpSchema kGeluTanhMul = gated_schema<gelu_tanh, kGeluTanhOf>("gelu_tanh_mul");

Tensor add(const Tensor& a, const Tensor& b, Where where) {
  return dispatch_one(OpCall(kAdd, {&a, &b}, {}, where));
}
Tensor mul(const Tensor& a, const Tensor& b, Where where) {
  return dispatch_one(OpCall(kMul, {&a, &b}, {}, where));
}
Tensor silu(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kSilu, {&x}, {}, where));
}
Tensor gelu(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kGelu, {&x}, {}, where));
}
Tensor gelu_tanh(const Tensor& x, Where where) {
  return dispatch_one(OpCall(kGeluTanh, {&x}, {}, where));
}

}  // namespace reprise::ops

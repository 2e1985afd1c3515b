#include "ops/matmul.h"

#include "core/error.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kMatmulInputs[] = {"x", "weight", "bias"};
constexpr std::string_view kGroupInputs[] = {"x",       "weight0", "bias0",   "weight1", "bias1",
                                             "weight2", "bias2",   "weight3", "bias3"};
constexpr std::string_view kMatmulAttrs[] = {"out"};
static_assert(std::size(kGroupInputs) == 1 + 2 * kMaxMatmulSegments && kMaxMatmulSegments <= Outputs::kMax);

// Segment i of a call: a matmul is a group of one.
const Tensor& weight_of(const OpCall& call, int i) {
  return call.optional(1 + 2 * i);
}
const Tensor& bias_of(const OpCall& call, int i) {
  return call.optional(2 + 2 * i);
}
int segments_of(const OpCall& call) {
  int count = 1;
  while (call.has(1 + 2 * count)) ++count;
  return count;
}

void infer_matmul(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const int segments = segments_of(call);
  for (int i = 0; i < segments; ++i) {
    const Tensor& weight = weight_of(call, i);
    const Tensor& bias = bias_of(call, i);
    if (x.shape.rank() != 2 || weight.shape.rank() != 2 || x.shape[1] != weight.shape[1] ||
        !weight.packing.is_packed())
      throw Error(
          "[{}] x is {} {}, the packed weight {} {}{}; x must be [rows, K] and the weight [N, K], packed",
          call.schema.name, name_of(x.dtype), to_string(x.shape), name_of(weight.dtype),
          to_string(weight.shape), weight.packing.is_packed() ? "" : ", row-major");
    if (weight.dtype != weight_of(call, 0).dtype || weight.packing != weight_of(call, 0).packing)
      throw Error(
          "[{}] weight0 is {} {}, weight{} {} {}; weights of one call must be of the same dtype and packing",
          call.schema.name, name_of(weight_of(call, 0).dtype), to_string(weight_of(call, 0).packing), i,
          name_of(weight.dtype), to_string(weight.packing));
    if (bias && (bias.dtype != DType::f32 || bias.shape != Shape{weight.shape[0]}))
      throw Error("[{}] the bias is {} {}, expected float32 [{}]", call.schema.name, name_of(bias.dtype),
                  to_string(bias.shape), to_string(weight.shape[0]));
    outputs.add(call.dtype(0), Shape{x.shape[0], weight.shape[0]});
  }
  for (int i = 1 + 2 * segments; i < call.input_count; ++i)
    if (call.has(i))
      throw Error("[{}] {} stands behind an absent weight; those absent come last", call.schema.name,
                  call.schema.input_names[static_cast<size_t>(i)]);
}

Outputs decompose_group(const OpCall& call) {
  Outputs outputs;
  for (const int segments = segments_of(call); outputs.count < segments; ++outputs.count)
    outputs.tensors[static_cast<size_t>(outputs.count)] =
        matmul(call.input(0), weight_of(call, outputs.count), bias_of(call, outputs.count), call.dtype(0),
               call.where);
  return outputs;
}

}  // namespace

const OpSchema kMatmul{.name = "matmul",
                       .kind = OpKind::matmul,
                       .input_names = kMatmulInputs,
                       .attr_names = kMatmulAttrs,
                       .row_wise = true,
                       .infer = infer_matmul};
const OpSchema kMatmulGroup{.name = "matmul_group",
                            .kind = OpKind::matmul,
                            .input_names = kGroupInputs,
                            .attr_names = kMatmulAttrs,
                            .row_wise = true,
                            .infer = infer_matmul,
                            .decompose = decompose_group};

Tensor matmul(const Tensor& x, const Tensor& weight, const Tensor& bias, DType out, Where where) {
  return dispatch_one(OpCall(kMatmul, {&x, &weight, &bias}, {out}, where));
}

}  // namespace reprise::ops

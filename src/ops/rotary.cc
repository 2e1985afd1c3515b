#include "ops/rotary.h"

#include "core/error.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kAnglesInputs[] = {"positions", "rope_lengths", "inv_freq"};
constexpr std::string_view kAnglesAttrs[] = {"rot_dim", "scaling", "rounded_to",  "dynamic",
                                             "base",    "factor",  "original_max"};
constexpr std::string_view kRotaryInputs[] = {"x", "cos", "sin"};
constexpr std::string_view kRotaryAttrs[] = {"head_dim", "style", "round_products"};

void infer_angles(const OpCall& call, OutputSpecs& outputs) {
  const Shape& positions = call.input(0).shape;
  const int64_t half = call.integer(0) / 2;
  if (positions.rank() != 1 || call.input(1).shape != positions || call.input(2).shape != Shape{half})
    throw Error(
        "[rotary_angles] positions {}, lengths {}, inverse frequencies {}; expected [T], [T] and [{}]",
        to_string(positions), to_string(call.input(1).shape), to_string(call.input(2).shape), half);
  outputs.add(DType::f32, Shape{positions[0], half});
  outputs.add(DType::f32, Shape{positions[0], half});
}

void infer_rotary(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const Shape& cos = call.input(1).shape;
  const int64_t head_dim = call.integer(0);
  if (x.shape.rank() != 2 || x.shape[1].constant % head_dim != 0 || cos.rank() != 2 ||
      cos != call.input(2).shape || cos[0] != x.shape[0] || cos[1].constant * 2 > head_dim)
    throw Error(
        "[rotary] x {}, cos {}, sin {} with heads of {}; expected [T, heads * head_dim] and twice [T, at "
        "most head_dim / 2]",
        to_string(x.shape), to_string(cos), to_string(call.input(2).shape), head_dim);
  outputs.add(x.dtype, x.shape);
}

}  // namespace

const OpSchema kRotaryAngles{.name = "rotary_angles",
                             .kind = OpKind::elementwise,
                             .input_names = kAnglesInputs,
                             .attr_names = kAnglesAttrs,
                             .row_wise = true,
                             .infer = infer_angles};
const OpSchema kRotary{.name = "rotary",
                       .kind = OpKind::elementwise,
                       .input_names = kRotaryInputs,
                       .attr_names = kRotaryAttrs,
                       .row_wise = true,
                       .may_share = {0b1},
                       .infer = infer_rotary};

RotaryAngles rotary_angles(const Tensor& positions, const Tensor& rope_lengths, const Tensor& inv_freq,
                           const RotaryParams& params, Where where) {
  Outputs outputs =
      dispatch(OpCall(kRotaryAngles, {&positions, &rope_lengths, &inv_freq},
                      {params.rot_dim, params.attention_scaling, params.rounded_to, int64_t{params.dynamic},
                       params.base, params.factor, params.original_max},
                      where));
  return {.cos = std::move(outputs.tensors[0]), .sin = std::move(outputs.tensors[1])};
}

Tensor rotary(const Tensor& x, const RotaryAngles& angles, int64_t head_dim, RotaryStyle style,
              bool round_products, Where where) {
  return dispatch_one(OpCall(kRotary, {&x, &angles.cos, &angles.sin},
                             {head_dim, static_cast<int64_t>(style), int64_t{round_products}}, where));
}

}  // namespace reprise::ops

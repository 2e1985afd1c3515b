#include "ops/rotary.h"

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/rotary.h"

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

void launch_angles(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const kernels::cpu::RotaryAnglesScalars scalars{.half = call.integer(0) / 2,
                                                  .attention_scaling = static_cast<float>(call.real(1)),
                                                  .round_bf16 = call.dtype(2) == DType::bf16,
                                                  .dynamic = call.integer(3) != 0,
                                                  .base = call.real(4),
                                                  .factor = call.real(5),
                                                  .original_max_position = call.integer(6)};
  stream.launch(kernels::cpu::rotary_angles_kernel(cpu_of(stream).isa(), DType::f32),
                {.items = call.input(0).shape[0], .grain = 16},
                {reads(call.input(0)), reads(call.input(1)), reads(call.input(2)), writes(outputs[0]),
                 writes(outputs[1])},
                scalars);
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

void launch_rotary(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const int64_t width = x.shape[1].constant;
  const int64_t head_dim = call.integer(0);
  const kernels::cpu::RotaryScalars scalars{
      .heads = width / head_dim,
      .head_dim = head_dim,
      .rot_dim = call.input(1).shape[1].constant * 2,
      .x_stride = width,
      .y_stride = width,
      .interleaved = call.integer(1) == static_cast<int64_t>(RotaryStyle::interleaved),
      .round_products = call.integer(2) != 0};
  stream.launch(kernels::cpu::rotary_kernel(cpu_of(stream).isa(), x.dtype),
                kernels::cpu::rotary_dims(x.shape[0], scalars.heads),
                {reads(x), reads(call.input(1)), reads(call.input(2)), writes(outputs[0])}, scalars);
}

}  // namespace

const OpSchema kRotaryAngles{.name = "rotary_angles",
                             .kind = OpKind::elementwise,
                             .input_names = kAnglesInputs,
                             .attr_names = kAnglesAttrs,
                             .row_wise = true,
                             .infer = infer_angles,
                             .launch = launch_angles};
const OpSchema kRotary{.name = "rotary",
                       .kind = OpKind::elementwise,
                       .input_names = kRotaryInputs,
                       .attr_names = kRotaryAttrs,
                       .row_wise = true,
                       .may_share = {0b1},
                       .infer = infer_rotary,
                       .launch = launch_rotary};

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

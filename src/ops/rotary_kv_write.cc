#include "ops/rotary_kv_write.h"

#include <fmt/format.h>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/norm.h"
#include "ops/rotary.h"

namespace reprise::ops {
namespace {

using namespace rotary_kv_write;

constexpr std::string_view kInputs[] = {"q",   "k",         "v",     "q_norm", "k_norm", "cos",
                                        "sin", "positions", "slots", "keys",   "values"};
constexpr std::string_view kRotaryKvAttrs[] = {"kv_heads", "head_dim",       "block_size",
                                               "style",    "round_products", "eps"};

// Throws where an input isn't `right` or of another dtype; the rest says what its shape should have been.
template <typename... Args>
void check_rotary_kv(bool right, const OpCall& call, Input input, DType dtype,
                     fmt::format_string<Args...> expected, Args&&... args) {
  const Tensor& tensor = call.optional(input);
  if (!right || tensor.dtype != dtype)
    throw Error("[rotary_kv_write] {} is {} {}, expected {} {}", kInputs[input], name_of(tensor.dtype),
                to_string(tensor.shape), name_of(dtype), fmt::format(expected, std::forward<Args>(args)...));
}

void infer_rotary_kv(const OpCall& call, OutputSpecs& outputs) {
  const auto shape = [&](Input input) -> const Shape& { return call.optional(input).shape; };
  const Shape &q = shape(kQ), &angles = shape(kCos);
  const DType dtype = call.input(kQ).dtype;
  const int64_t head_dim = call.integer(kHeadDim), kv_width = call.integer(kKvHeads) * head_dim;
  const bool tabled = call.has(kPositions);
  check_rotary_kv(q.rank() == 2 && q[0] == kTokens && q[1].constant % head_dim == 0, call, kQ, dtype,
                  "[T, heads * {}]", head_dim);
  for (Input input : {kK, kV})
    check_rotary_kv(shape(input) == Shape{kTokens, kv_width}, call, input, dtype, "[T, {}]", kv_width);
  for (Input input : {kQNorm, kKNorm})
    if (call.has(input))
      check_rotary_kv(shape(input) == Shape{head_dim}, call, input, DType::f32, "[{}]", head_dim);
  const bool angles_fit = angles.rank() == 2 && (tabled ? angles[0].is_constant() : angles[0] == kTokens) &&
                          angles[1].constant * 2 <= head_dim;
  for (Input input : {kCos, kSin})
    check_rotary_kv(angles_fit && shape(input) == angles, call, input, DType::f32,
                    "[{}, at most {}], the same for cos and sin", tabled ? "positions" : "T", head_dim / 2);
  if (tabled) check_rotary_kv(shape(kPositions) == Shape{kTokens}, call, kPositions, DType::i32, "[T]");
  check_rotary_kv(shape(kSlots) == Shape{kTokens}, call, kSlots, DType::i32, "[T]");
  for (Input input : {kKeys, kValues}) check_rotary_kv(true, call, input, dtype, "as q is");
  outputs.add(dtype, q);
}

Outputs decompose_rotary_kv(const OpCall& call) {
  const int64_t head_dim = call.integer(kHeadDim);
  const auto angle = [&](Input table) {
    return call.has(kPositions) ? gather_rows(call.input(table), call.input(kPositions), call.where)
                                : call.input(table);
  };
  const RotaryAngles angles{.cos = angle(kCos), .sin = angle(kSin)};
  const auto turned = [&](Input x, Input norm) {
    return rotary(call.has(norm) ? rms_norm(call.input(x), call.input(norm), call.real(kEps), call.where)
                                 : call.input(x),
                  angles, head_dim, static_cast<RotaryStyle>(call.integer(kStyle)),
                  call.integer(kRoundProducts) != 0, call.where);
  };
  Tensor q = turned(kQ, kQNorm);
  kv_write(turned(kK, kKNorm), call.input(kV), call.input(kSlots), call.input(kKeys), call.input(kValues),
           {.kv_heads = call.integer(kKvHeads), .head_dim = head_dim, .block_size = call.integer(kBlockSize)},
           call.where);
  return {.tensors = {std::move(q)}, .count = 1};
}

}  // namespace

const OpSchema kRotaryKvWrite{.name = "rotary_kv_write",
                              .kind = OpKind::data_movement,
                              .input_names = kInputs,
                              .attr_names = kRotaryKvAttrs,
                              .mutated_inputs = (1u << kKeys) | (1u << kValues),
                              .may_share = {1u << kQ},
                              .infer = infer_rotary_kv,
                              .decompose = decompose_rotary_kv};

}  // namespace reprise::ops

#include "ops/rotary_kv_write.h"

#include "kernels/cpu/rotary_kv_write.h"
#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/norm.h"
#include "ops/rotary.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kInputs[] = {"q",   "k",         "v",     "q_norm", "k_norm", "cos",
                                        "sin", "positions", "slots", "keys",   "values"};
enum Input { kQ, kK, kV, kQNorm, kKNorm, kCos, kSin, kPositions, kSlots, kKeys, kValues };
constexpr std::string_view kAttrs[] = {"kv_heads", "head_dim",       "block_size",
                                       "style",    "round_products", "eps"};
enum Attr { kKvHeads, kHeadDim, kBlockSize, kStyle, kRoundProducts, kEps };

void check_norm(const OpCall& call, Input input) {
  const Tensor& norm = call.optional(input);
  if (norm && (norm.dtype != DType::f32 || norm.shape != Shape{call.integer(kHeadDim)}))
    throw Error("[rotary_kv_write] {} is {} {}, expected float32 [{}]", kInputs[input], name_of(norm.dtype),
                to_string(norm.shape), call.integer(kHeadDim));
}

void infer(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& q = call.input(kQ);
  const Tensor& k = call.input(kK);
  const int64_t head_dim = call.integer(kHeadDim);
  const Shape kv_shape{kTokens, call.integer(kKvHeads) * head_dim};
  if (q.shape.rank() != 2 || q.shape[0] != kTokens || q.shape[1].constant % head_dim != 0 ||
      k.shape != kv_shape || call.input(kV).shape != kv_shape || k.dtype != q.dtype ||
      call.input(kKeys).dtype != q.dtype)
    throw Error(
        "[rotary_kv_write] q {} {}, k {} {}, v {}, a cache of {}; expected [T, heads * {}] and twice {}, "
        "all of the cache's dtype",
        name_of(q.dtype), to_string(q.shape), name_of(k.dtype), to_string(k.shape),
        to_string(call.input(kV).shape), name_of(call.input(kKeys).dtype), head_dim, to_string(kv_shape));
  const Shape& cos = call.input(kCos).shape;
  if (cos.rank() != 2 || cos != call.input(kSin).shape || cos[1].constant * 2 > head_dim ||
      (call.has(kPositions) ? !cos[0].is_constant() : cos[0] != kTokens))
    throw Error(
        "[rotary_kv_write] cos {}, sin {} with heads of {}; expected twice [{}, at most head_dim / 2]",
        to_string(cos), to_string(call.input(kSin).shape), head_dim,
        call.has(kPositions) ? "positions" : "T");
  check_norm(call, kQNorm);
  check_norm(call, kKNorm);
  outputs.add(q.dtype, q.shape);
}

void launch(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& q = call.input(kQ);
  const int64_t head_dim = call.integer(kHeadDim);
  const kernels::cpu::RotaryKvWriteScalars scalars{
      .heads = q.shape[1].constant / head_dim,
      .kv_heads = call.integer(kKvHeads),
      .head_dim = head_dim,
      .rot_dim = call.input(kCos).shape[1].constant * 2,
      .block_size = call.integer(kBlockSize),
      .interleaved = call.integer(kStyle) == static_cast<int64_t>(RotaryStyle::interleaved),
      .round_products = call.integer(kRoundProducts) != 0,
      .eps = static_cast<float>(call.real(kEps))};
  stream.launch(kernels::cpu::rotary_kv_write_kernel(stream.isa(), q.dtype),
                kernels::cpu::rotary_kv_write_dims(scalars),
                {reads(q), reads(call.input(kK)), reads(call.input(kV)), reads(call.optional(kQNorm)),
                 reads(call.optional(kKNorm)), reads(call.input(kCos)), reads(call.input(kSin)),
                 reads(call.optional(kPositions)), reads(call.input(kSlots)), updates(call.input(kKeys)),
                 updates(call.input(kValues)), writes(outputs[0])},
                scalars);
}

Outputs decompose(const OpCall& call) {
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
                              .attr_names = kAttrs,
                              .mutated_inputs = (1u << kKeys) | (1u << kValues),
                              .may_share = {1u << kQ},
                              .infer = infer,
                              .launch = launch,
                              .decompose = decompose};

}  // namespace reprise::ops

#include "ops/matmul.h"

#include "core/thread_team.h"
#include "kernels/cpu/matmul.h"
#include "ops/packed_weight.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kInputs[] = {"x", "weight", "bias"};
constexpr std::string_view kAttrs[] = {"out"};

void infer(const OpCall& call, OutputSpecs& outputs) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(1);
  if (x.shape.rank() != 2 || weight.shape.rank() != 2 || x.shape[1] != weight.shape[1] ||
      x.dtype != weight.dtype || weight.layout != Layout::panels)
    throw Error(
        "[matmul] x is {} {}, the packed weight {} {}; x must be [rows, K] and the weight [N, K] of the same "
        "dtype",
        name_of(x.dtype), to_string(x.shape), name_of(weight.dtype), to_string(weight.shape));
  if (call.has(2) && (call.input(2).dtype != DType::f32 || call.input(2).shape != Shape{weight.shape[0]}))
    throw Error("[matmul] the bias is {} {}, expected float32 [{}]", name_of(call.input(2).dtype),
                to_string(call.input(2).shape), to_string(weight.shape[0]));
  outputs.add(call.dtype(0), Shape{x.shape[0], weight.shape[0]});
}

void launch(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const Tensor& weight = call.input(1);
  const int64_t n = weight.shape[0].constant;
  const kernels::cpu::MatmulScalars scalars{
      .rows = x.shape[0], .k = weight.shape[1].constant, .out = call.dtype(0), .segments = 1, .n = {n}};
  stream.launch(kernels::cpu::matmul_kernel(stream.isa(), x.dtype),
                kernels::cpu::matmul_dims({&n, 1}, stream.team().size()),
                {reads(x), reads_packed(weight), reads(call.optional(2)), writes(outputs[0])}, scalars);
}

}  // namespace

const OpSchema kMatmul{.name = "matmul",
                       .kind = OpKind::matmul,
                       .input_names = kInputs,
                       .attr_names = kAttrs,
                       .infer = infer,
                       .launch = launch};

Tensor matmul(const Tensor& x, const Tensor& weight, const Tensor& bias, DType out) {
  return dispatch_one(OpCall(kMatmul, {&x, &weight, &bias}, {out}));
}

}  // namespace reprise::ops

#include "ops/sampling.h"

#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/sampling.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kSampleInputs[] = {"logits", "plan",     "biases",  "counts",
                                              "tokens", "logprobs", "top_ids", "top_logprobs"};

constexpr int64_t kInts = sizeof(kernels::cpu::TokenBias) / sizeof(int32_t);
static_assert(sizeof(kernels::cpu::TokenCount) == sizeof(kernels::cpu::TokenBias));

void infer_sample(const OpCall& call, OutputSpecs&) {
  const Tensor& logits = call.input(0);
  if (logits.dtype != DType::f32 || logits.shape.rank() != 2 || !logits.shape[1].is_constant() ||
      logits.shape[1].constant > kernels::cpu::max_sample_vocab())
    throw Error("[sample] logits are {} {}; expected float32 [S, vocabulary of at most {}]",
                name_of(logits.dtype), to_string(logits.shape), kernels::cpu::max_sample_vocab());
  REPRISE_CHECK(call.input(1).shape[1] == Dim{sizeof(kernels::cpu::SampleRow)},
                "the plan's rows are {} bytes", to_string(call.input(1).shape));
}

void launch_sample(const OpCall& call, Stream& stream, std::span<const Tensor>, WorkspaceAllocator&) {
  const kernels::cpu::SampleScalars scalars{.vocab = call.input(0).shape[1].constant,
                                            .max_top = call.input(6).shape[1].constant,
                                            .max_biases = call.input(2).shape[1].constant / kInts,
                                            .max_counts = call.input(3).shape[1].constant / kInts};
  stream.launch(
      kernels::cpu::sample_kernel(cpu_of(stream).isa()), kernels::cpu::sample_dims(),
      {reads(call.input(0)), reads(call.input(1)), reads(call.input(2)), reads(call.input(3)),
       updates(call.input(4)), updates(call.input(5)), updates(call.input(6)), updates(call.input(7))},
      scalars);
}

}  // namespace

const OpSchema kSample{.name = "sample",
                       .kind = OpKind::opaque,
                       .input_names = kSampleInputs,
                       .mutated_inputs = 0b11110000,
                       .infer = infer_sample,
                       .launch = launch_sample};

void sample(const Tensor& logits, const SampleTensors& b, Where where) {
  dispatch(OpCall(
      kSample, {&logits, &b.plan, &b.biases, &b.counts, &b.tokens, &b.logprobs, &b.top_ids, &b.top_logprobs},
      {}, where));
}

}  // namespace reprise::ops

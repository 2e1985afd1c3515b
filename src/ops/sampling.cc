#include "ops/sampling.h"

#include "core/error.h"
#include "core/sample_row.h"

namespace reprise::ops {
namespace {

constexpr std::string_view kSampleInputs[] = {"logits", "plan",     "biases",  "counts",      "masks",
                                              "tokens", "logprobs", "top_ids", "top_logprobs"};

void infer_sample(const OpCall& call, OutputSpecs&) {
  const Tensor& logits = call.input(0);
  if (logits.dtype != DType::f32 || logits.shape.rank() != 2 || !logits.shape[1].is_constant())
    throw Error("[sample] logits are {} {}; expected float32 [R, vocabulary]", name_of(logits.dtype),
                to_string(logits.shape));
  REPRISE_CHECK(call.input(1).shape[1] == Dim{sizeof(SampleRow)}, "the plan's rows are {} bytes",
                to_string(call.input(1).shape));
  REPRISE_CHECK(call.input(4).shape[1] == Dim{mask_words(logits.shape[1].constant)},
                "the masks are {} for logits {}", to_string(call.input(4).shape), to_string(logits.shape));
}

}  // namespace

const OpSchema kSample{.name = "sample",
                       .kind = OpKind::opaque,
                       .input_names = kSampleInputs,
                       .mutated_inputs = 0b111100000,
                       .infer = infer_sample};

void sample(const Tensor& logits, const SampleTensors& b, Where where) {
  dispatch(OpCall(
      kSample,
      {&logits, &b.plan, &b.biases, &b.counts, &b.masks, &b.tokens, &b.logprobs, &b.top_ids, &b.top_logprobs},
      {}, where));
}

}  // namespace reprise::ops

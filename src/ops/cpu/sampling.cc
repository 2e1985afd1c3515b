#include "kernels/cpu/sampling.h"
#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "ops/cpu/launches.h"
#include "ops/sampling.h"

namespace reprise::ops::cpu {
namespace {

constexpr int64_t kInts = sizeof(TokenBias) / sizeof(int32_t);
static_assert(sizeof(TokenCount) == sizeof(TokenBias));

void launch_sample(const OpCall& call, Stream& stream, std::span<const Tensor>, WorkspaceAllocator&) {
  const int64_t vocab = call.input(0).shape[1].constant;
  if (vocab > kernels::cpu::max_sample_vocab())
    throw Error("[sample] the vocabulary has {} ids, at most {} are served on a CPU; use a model with fewer",
                vocab, kernels::cpu::max_sample_vocab());
  const kernels::cpu::SampleScalars scalars{.vocab = vocab,
                                            .max_top = call.input(7).shape[1].constant,
                                            .max_biases = call.input(2).shape[1].constant / kInts};
  stream.launch(kernels::cpu::sample_kernel(cpu_of(stream).isa()), kernels::cpu::sample_dims(),
                {reads(call.input(0)), reads(call.input(1)), reads(call.input(2)), reads(call.input(3)),
                 reads(call.input(4)), updates(call.input(5)), updates(call.input(6)), updates(call.input(7)),
                 updates(call.input(8))},
                scalars);
}

}  // namespace

std::span<const LaunchEntry> sampling_launches() {
  static constexpr LaunchEntry kEntries[] = {{&kSample, {launch_sample}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

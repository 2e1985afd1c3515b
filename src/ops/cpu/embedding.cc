#include "kernels/cpu/embedding.h"
#include "core/error.h"
#include "device/cpu/cpu_device.h"
#include "kernels/cpu/gather.h"
#include "kernels/cpu/pack.h"
#include "ops/cpu/launches.h"
#include "ops/embedding.h"

namespace reprise::ops::cpu {
namespace {

void launch_embedding(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                      WorkspaceAllocator&) {
  const Tensor& ids = call.input(0);
  const Tensor& weight = call.input(1);
  if (weight.packing != kernels::cpu::packing_of(weight.dtype))
    throw Error("[embedding] no kernel of the CPU reads {} rows out of {}", name_of(weight.dtype),
                to_string(weight.packing));
  const kernels::cpu::EmbeddingScalars scalars{.vocab = weight.shape[0].constant,
                                               .k = weight.shape[1].constant};
  stream.launch(kernels::cpu::embedding_kernel(weight.dtype), {.items = ids.shape[0], .grain = 4},
                {reads(ids), reads(weight), writes(outputs[0])}, scalars);
}

void launch_gather(const OpCall& call, Stream& stream, std::span<const Tensor> outputs, WorkspaceAllocator&) {
  const Tensor& x = call.input(0);
  const Tensor& rows = call.input(1);
  const kernels::cpu::GatherScalars scalars{.dim = x.shape[1].constant};
  stream.launch(kernels::cpu::gather_rows_kernel(cpu_of(stream).isa(), x.dtype),
                {.items = rows.shape[0], .grain = 8}, {reads(x), reads(rows), writes(outputs[0])}, scalars);
}

}  // namespace

std::span<const LaunchEntry> embedding_launches() {
  static constexpr LaunchEntry kEntries[] = {{&kEmbedding, {launch_embedding}},
                                             {&kGatherRows, {launch_gather}}};
  return kEntries;
}

}  // namespace reprise::ops::cpu

#include "kernels/cpu/embedding.h"

#include <cstring>

#include "core/error.h"
#include "kernels/cpu/pack.h"

namespace reprise::kernels::cpu {
namespace {

template <DType kDType>
void run(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<EmbeddingScalars>();
  const int32_t* ids = context.buffer<int32_t>(0);
  const size_t row_bytes = static_cast<size_t>(scalars.k) * size_of(kDType);
  for (int64_t token = begin; token < end; ++token) {
    std::byte* out = context.buffers[2] + static_cast<size_t>(token) * row_bytes;
    if (ids[token] >= 0 && ids[token] < scalars.vocab) {
      unpack_row(kDType, context.buffers[1], ids[token], scalars.k, out);
    } else {
      std::memset(out, 0, row_bytes);
      context.raise(KernelStatus::index_out_of_range);
    }
  }
}

constexpr Kernel kF32{"embedding_f32", run<DType::f32>};
constexpr Kernel kBf16{"embedding_bf16", run<DType::bf16>};

}  // namespace

const Kernel& embedding_kernel(DType dtype) {
  REPRISE_CHECK(dtype == DType::f32 || dtype == DType::bf16, "embedding of {}", name_of(dtype));
  return dtype == DType::f32 ? kF32 : kBf16;
}

}  // namespace reprise::kernels::cpu

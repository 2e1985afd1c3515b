#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

// From the launch's view of a matmul to that of the per-ISA files.
template <MatmulFunction kFunction>
void run(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<MatmulScalars>();
  MatmulCall call{.x = context.buffers[0],
                  .rows = scalars.rows.eval(context.sizes),
                  .k = scalars.k,
                  .bf16_out = scalars.out == DType::bf16,
                  .segment_count = scalars.segments,
                  .segments = {},
                  .scratch = reinterpret_cast<unsigned char*>(context.scratch),
                  .scratch_bytes = KernelContext::kScratchBytes};
  for (int i = 0; i < scalars.segments; ++i)
    call.segments[i] = {.weights = context.buffer<unsigned char>(1 + 3 * i),
                        .bias = context.buffer<float>(2 + 3 * i),
                        .out = context.buffers[3 + 3 * i],
                        .n = scalars.n[static_cast<size_t>(i)]};
  if (call.rows > 0 && begin < end) kFunction(call, begin, end);
}

constexpr Kernel kF32Scalar{"matmul_f32_scalar", run<matmul_f32_scalar>};
constexpr Kernel kF32Avx2{"matmul_f32_avx2", run<matmul_f32_avx2>};
constexpr Kernel kF32Avx512{"matmul_f32_avx512", run<matmul_f32_avx512>};
constexpr Kernel kBf16Scalar{"matmul_bf16_scalar", run<matmul_bf16_scalar>};
constexpr Kernel kBf16Avx2{"matmul_bf16_avx2", run<matmul_bf16_avx2>};
constexpr Kernel kBf16Avx512{"matmul_bf16_avx512", run<matmul_bf16_avx512>};
constexpr Kernel kBf16Dot{"matmul_bf16_avx512_bf16", run<matmul_bf16_avx512_bf16>};
constexpr Kernel kBf16Tiles{"matmul_bf16_amx", run<matmul_bf16_amx>};

}  // namespace

const Kernel& matmul_kernel(Isa isa, DType dtype) {
  REPRISE_CHECK(dtype == DType::f32 || dtype == DType::bf16, "matmul of {}", name_of(dtype));
  const bool f32 = dtype == DType::f32;
  switch (isa) {
    case Isa::scalar:
      return f32 ? kF32Scalar : kBf16Scalar;
    case Isa::avx2:
      return f32 ? kF32Avx2 : kBf16Avx2;
    case Isa::avx512:
      return f32 ? kF32Avx512 : kBf16Avx512;
    case Isa::avx512_bf16:
      return f32 ? kF32Avx512 : kBf16Dot;
    case Isa::amx:
      return f32 ? kF32Avx512 : kBf16Tiles;
  }
  REPRISE_CHECK(false, "isa {}", static_cast<int>(isa));
  return kF32Scalar;
}

int64_t matmul_panels(int64_t n) {
  return (n + kPanel - 1) / kPanel;
}

LaunchDims matmul_dims(std::span<const int64_t> n, int workers) {
  int64_t panels = 0;
  for (int64_t outputs : n) panels += matmul_panels(outputs);
  return {.items = panels, .grain = std::clamp<int64_t>(panels / (64 * workers), 1, 4)};
}

}  // namespace reprise::kernels::cpu

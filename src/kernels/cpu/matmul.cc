#include "kernels/cpu/matmul.h"

#include <algorithm>

#include "core/error.h"
#include "kernels/cpu/matmul_blocks.h"
#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

// What the blocks of rows are made for: a chunk of so many rows, of which each worker gets a few items. A
// block has at least kLeastRows, or else reading its weights once more would cost too much.
constexpr int64_t kChunkRows = 512;
constexpr int64_t kItemsPerWorker = 4;
constexpr int64_t kLeastRows = 32;

// Rows of a block where x is widened, and the largest k: above it reading the weights once more costs more
// than widening.
constexpr int64_t kWidenedRows = 128;
constexpr int64_t kMostWidenedK = 4096;

int64_t panels_of(const MatmulScalars& scalars) {
  int64_t panels = 0;
  for (int i = 0; i < scalars.segments; ++i) panels += matmul_panels(scalars.n[static_cast<size_t>(i)]);
  return panels;
}

// Rows [row0, row1) of a launch, as the per-ISA files see a matmul.
MatmulCall call_of(const KernelContext& context, int64_t row0, int64_t row1, int64_t x_size) {
  const auto& scalars = context.get_scalars<MatmulScalars>();
  const int64_t out_size = static_cast<int64_t>(size_of(scalars.out));
  MatmulCall call{.x = context.buffers[0] + row0 * scalars.k * x_size,
                  .rows = row1 - row0,
                  .k = scalars.k,
                  .bf16_out = scalars.out == DType::bf16,
                  .segment_count = scalars.segments,
                  .segments = {},
                  .scratch = reinterpret_cast<unsigned char*>(context.scratch),
                  .scratch_bytes = KernelContext::kScratchBytes};
  for (int i = 0; i < scalars.segments; ++i) {
    const int64_t n = scalars.n[static_cast<size_t>(i)];
    call.segments[i] = {.weights = context.buffer<unsigned char>(1 + 3 * i),
                        .bias = context.buffer<float>(2 + 3 * i),
                        .out = context.buffers[3 + 3 * i] + row0 * n * out_size,
                        .n = n};
  }
  return call;
}

template <MatmulFunction kFunction, int kXSize>
void run(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<MatmulScalars>();
  const int64_t rows = scalars.rows.eval(context.sizes);
  if (rows == 0) return;
  for_blocks_of_rows(rows, scalars.rows_per_block, panels_of(scalars), begin, end,
                     [&](int64_t row0, int64_t row1, int64_t first, int64_t stop) {
                       kFunction(call_of(context, row0, row1, kXSize), first, stop);
                     });
}

struct Kind {
  Kernel kernel;
  MatmulFunction function;
};
template <MatmulFunction kFunction, int kXSize>
constexpr Kind kind(std::string_view name) {
  return {{name, run<kFunction, kXSize>}, kFunction};
}
constexpr Kind kF32Scalar = kind<matmul_f32_scalar, 4>("matmul_f32_scalar");
constexpr Kind kF32Avx2 = kind<matmul_f32_avx2, 4>("matmul_f32_avx2");
constexpr Kind kF32Avx512 = kind<matmul_f32_avx512, 4>("matmul_f32_avx512");
constexpr Kind kBf16Scalar = kind<matmul_bf16_scalar, 2>("matmul_bf16_scalar");
constexpr Kind kBf16Avx2 = kind<matmul_bf16_avx2, 2>("matmul_bf16_avx2");
constexpr Kind kBf16Avx512 = kind<matmul_bf16_avx512, 2>("matmul_bf16_avx512");
constexpr Kind kBf16Dot = kind<matmul_bf16_avx512_bf16, 2>("matmul_bf16_avx512_bf16");
constexpr Kind kBf16Tiles = kind<matmul_bf16_amx, 2>("matmul_bf16_amx");

const Kind& kind_of(Isa isa, DType dtype) {
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

}  // namespace

const Kernel& matmul_kernel(Isa isa, DType dtype) {
  return kind_of(isa, dtype).kernel;
}

MatmulFunction matmul_function(Isa isa, DType dtype) {
  return kind_of(isa, dtype).function;
}

int64_t matmul_panels(int64_t n) {
  return (n + kPanel - 1) / kPanel;
}

LaunchDims cut_matmul(int64_t panels, int64_t k, Dim rows, Isa isa, DType dtype, int workers) {
  LaunchDims dims{.items = panels, .grain = std::clamp<int64_t>(panels / (64 * workers), 1, 4)};
  const int64_t blocks = divide_up(kItemsPerWorker * workers, panels);  // of a chunk
  const bool widens = dtype == DType::bf16 && (isa == Isa::avx2 || isa == Isa::avx512) && k <= kMostWidenedK;
  if (workers == 1 || (blocks == 1 && !widens)) return dims;
  dims.rows = rows;
  dims.rows_per_block = std::max(kLeastRows, kChunkRows / blocks / kLeastRows * kLeastRows);
  if (widens) dims.rows_per_block = std::min(dims.rows_per_block, kWidenedRows);
  return dims;
}

LaunchDims cut_matmul(MatmulScalars& scalars, Isa isa, DType dtype, int workers) {
  const LaunchDims dims = cut_matmul(panels_of(scalars), scalars.k, scalars.rows, isa, dtype, workers);
  scalars.rows_per_block = rows_per_block_of(dims);
  return dims;
}

}  // namespace reprise::kernels::cpu

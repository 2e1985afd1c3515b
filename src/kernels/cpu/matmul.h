// y = x W^T (+ bias) for packed weights: the kernel in which a model spends nearly all of its time.
//
// Order of accumulation. For one ISA level and dtype, every output element is the same chain of operations
// whatever M, the cut into work items or the number of threads:
//  - f32 at every level, and bf16 at scalar, avx2 and avx512: one chain acc = fma(x[k], w[k], acc) over
//    ascending k, from +0 in float (bf16 widened, k padded with zeros to a multiple of 32), then + bias. Hence
//    f32 is equal bit for bit at all levels, and bf16 at the first three.
//  - avx512_bf16: vdpbf16ps over the pairs of k, ascending; then + bias.
//  - amx: tdpbf16ps over blocks of 32 k, ascending, tiles for every M; then + bias.
// A bf16 output is the float sum rounded to nearest even. vdpbf16ps and tiles flush denormals whatever the
// mode; the stream sets FTZ and DAZ around every kernel, so the other levels do as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct MatmulCall;

// Up to this many weights share x and run in one launch (q, k, v; gate, up).
inline constexpr int kMaxSegments = 4;

// Buffers: 0 = x [M, K] in the activation dtype, row-major; for segment i: 1+3i packed weights (pack.h),
// 2+3i bias f32 [n_i] or null, 3+3i out [M, n_i] of dtype `out`. Work items: panels, the sum of
// matmul_panels(n_i), for each block of rows.
struct MatmulScalars {
  Dim rows;                // M >= 0
  int64_t k = 0;           // K >= 1
  DType out = DType::f32;  // f32 or bf16
  Unused<3> unused{};
  int32_t segments = 1;                   // 1 .. kMaxSegments
  std::array<int64_t, kMaxSegments> n{};  // outputs of each segment, >= 1
  int64_t rows_per_block = 0;             // at most; 0: one block of all rows
};

// The kernel for activations and weights of `dtype` (f32 or bf16; another is a broken invariant). f32 has no
// kernel of its own above avx512. The caller must check that the CPU has the level (isa_select.h).
const Kernel& matmul_kernel(Isa isa, DType dtype);
// What it calls for the panels of some rows (matmul_call.h).
void (*matmul_function(Isa isa, DType dtype))(const MatmulCall& call, int64_t begin, int64_t end);

// Work items of a segment with n outputs.
int64_t matmul_panels(int64_t n);

// Cuts `rows` by `panels` work items for a team of `workers`. Rows are cut where the panels alone are too few, into
// blocks whose size never depends on the rows, so a recording serves every number of them. The last claims are small, so
// that the workers finish together. A kernel that widens x does so for each claim: there rows are cut as well, so that a
// small claim widens few of them.
LaunchDims cut_matmul(int64_t panels, int64_t k, Dim rows, Isa isa, DType dtype, int workers);
// The same for a launch; sets rows_per_block.
LaunchDims cut_matmul(MatmulScalars& scalars, Isa isa, DType dtype, int workers);

}  // namespace reprise::kernels::cpu

// The layout that the matmul kernels read, the same for all ISA levels of a dtype. A weight [N, K] becomes
// panels of 32 rows, one after the other, so that a worker reads one stream:
//  - f32:  [N/32][K][32]
//  - bf16: [N/32][K/32][2][16 pairs of k][16 n][2]; each 1 KiB piece is a B tile of AMX and an operand of
//    vdpbf16ps.
// N is padded to 32, for bf16 K as well; padding is zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/packing.h"

namespace reprise::kernels::cpu {

// How the kernels for activations of `dtype` read their weights: kF32Panels, kBf16Panels, and kRowMajor for
// a dtype that has no such kernels.
constexpr Packing packing_of(DType dtype) {
  return dtype == DType::f32 ? kF32Panels : dtype == DType::bf16 ? kBf16Panels : kRowMajor;
}

// Bytes of a packed weight; dtype f32 or bf16.
size_t packed_bytes(DType dtype, int64_t n, int64_t k);

// Packs rows [n0, n1) of a weight [n, k]. `rows` points at row n0; rows lie k elements apart. n0 is a
// multiple of 32; n1 as well, or n, and then the padding behind is zeroed. `packed` is the whole weight:
// calls for different rows may run on different threads. `dtype` is what is packed; bf16 is widened or taken
// as it is, f32 rounded to nearest even.
void pack_rows(DType dtype, const float* rows, int64_t n0, int64_t n1, int64_t n, int64_t k,
               std::byte* packed);
void pack_rows(DType dtype, const uint16_t* bf16_rows, int64_t n0, int64_t n1, int64_t n, int64_t k,
               std::byte* packed);

// Row `row` of a packed weight, k elements of its dtype: for embeddings tied to the head, and for tests.
void unpack_row(DType dtype, const std::byte* packed, int64_t row, int64_t k, void* out);

}  // namespace reprise::kernels::cpu

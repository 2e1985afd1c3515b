#include "ops/packed_weight.h"

#include <cstring>
#include <vector>

#include "kernels/cpu/pack.h"

namespace reprise::ops {

size_t packed_bytes(DType dtype, int64_t n, int64_t k) {
  return kernels::cpu::packed_bytes(dtype, n, k);
}

void pack_f32_rows(const float* rows, int64_t begin, int64_t end, const Tensor& packed, std::byte* bytes) {
  kernels::cpu::pack_rows(packed.dtype, rows, begin, end, packed.shape[0].constant, packed.shape[1].constant,
                          bytes);
}

void pack_bf16_rows(const std::byte* rows, int64_t begin, int64_t end, const Tensor& packed,
                    std::byte* bytes) {
  const int64_t n = packed.shape[0].constant;
  const int64_t k = packed.shape[1].constant;
  if (reinterpret_cast<uintptr_t>(rows) % alignof(uint16_t) == 0) {
    kernels::cpu::pack_rows(packed.dtype, reinterpret_cast<const uint16_t*>(rows), begin, end, n, k, bytes);
    return;
  }
  // A safetensors header of odd length leaves its tensors at odd addresses.
  std::vector<uint16_t> aligned(static_cast<size_t>((end - begin) * k));
  std::memcpy(aligned.data(), rows, aligned.size() * sizeof(uint16_t));
  kernels::cpu::pack_rows(packed.dtype, aligned.data(), begin, end, n, k, bytes);
}

}  // namespace reprise::ops

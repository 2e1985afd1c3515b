#include "device/cpu/weight_packer.h"

#include <cstring>
#include <vector>

#include "core/error.h"
#include "kernels/cpu/pack.h"

namespace reprise {

Packing CpuWeightPacker::packing_of(DType dtype) const {
  const Packing packing = kernels::cpu::packing_of(dtype);
  if (!packing.is_packed())
    throw Error("[pack] weights in {} have no kernels on the CPU; use float32 or bfloat16", name_of(dtype));
  return packing;
}

void CpuWeightPacker::pack_rows(const Packing& packing, const StoredRows& rows, int64_t n, int64_t k,
                                std::byte* stream) const {
  REPRISE_CHECK(packing == kF32Panels || packing == kBf16Panels, "packing as {}", to_string(packing));
  const DType dtype = packing == kF32Panels ? DType::f32 : DType::bf16;
  if (rows.dtype == DType::f32) {
    kernels::cpu::pack_rows(dtype, reinterpret_cast<const float*>(rows.data), rows.begin, rows.end, n, k,
                            stream);
    return;
  }
  REPRISE_CHECK(rows.dtype == DType::bf16, "packing from {}", name_of(rows.dtype));
  const auto* bf16 = reinterpret_cast<const uint16_t*>(rows.data);
  std::vector<uint16_t> aligned;
  if (reinterpret_cast<uintptr_t>(rows.data) % alignof(uint16_t) != 0) {
    // A safetensors header of odd length leaves its tensors at odd addresses.
    aligned.resize(static_cast<size_t>((rows.end - rows.begin) * k));
    std::memcpy(aligned.data(), rows.data, aligned.size() * sizeof(uint16_t));
    bf16 = aligned.data();
  }
  kernels::cpu::pack_rows(dtype, bf16, rows.begin, rows.end, n, k, stream);
}

}  // namespace reprise

// Packs weights for the kernels of the CPU, which read the same panels at every ISA level
// (kernels/cpu/pack.h).
#pragma once

#include "core/weight_packer.h"

namespace reprise {

class CpuWeightPacker final : public WeightPacker {
 public:
  Packing packing_of(DType dtype) const override;
  void pack_rows(const Packing& packing, const StoredRows& rows, int64_t n, int64_t k,
                 std::byte* stream) const override;
};

}  // namespace reprise

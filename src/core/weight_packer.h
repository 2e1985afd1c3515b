// How a device's kernels want matmul weights to lie, and what brings them there. The device has one
// (core/device.h); its work is the host's, on any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"
#include "core/packing.h"

namespace reprise {

// Rows [begin, end) of a matrix as they are stored: f32 or bf16, row-major; f32 is aligned, bf16 may lie
// anywhere.
struct StoredRows {
  DType dtype = DType::f32;
  const std::byte* data = nullptr;  // of row `begin`
  int64_t begin = 0;
  int64_t end = 0;
};

class WeightPacker {
 public:
  virtual ~WeightPacker() = default;

  // Of a weight whose elements are kept as `dtype`. Throws Error where the device has no kernels for such.
  virtual Packing packing_of(DType dtype) const = 0;

  // Packs rows of a matrix [n, k] into `stream`, the host's side of all its bytes (core/packing.h).
  // `packing` is one that packing_of() gave. `begin` is the first row of a panel; `end` too, unless it is
  // n. Different rows may be packed by different threads.
  virtual void pack_rows(const Packing& packing, const StoredRows& rows, int64_t n, int64_t k,
                         std::byte* stream) const = 0;
};

}  // namespace reprise

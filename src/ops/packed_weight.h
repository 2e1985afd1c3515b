// Packed matmul weights (layout: kernels/cpu/pack.h) as tensors: models fill them with these functions, ops
// pass them to launches.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/launch.h"
#include "core/tensor.h"

namespace reprise::ops {

// Bytes of a weight [n, k] packed as `dtype` (f32 or bf16).
size_t packed_bytes(DType dtype, int64_t n, int64_t k);

// Packs rows [begin, end) of the weight `packed` [n, k] into `bytes`, the host's side of all its bytes;
// `rows` points at row `begin`, row-major, at any alignment for bf16. `begin` is a multiple of 32, `end` too
// unless it is n. Different rows may be packed by different threads.
void pack_f32_rows(const float* rows, int64_t begin, int64_t end, const Tensor& packed, std::byte* bytes);
void pack_bf16_rows(const std::byte* rows, int64_t begin, int64_t end, const Tensor& packed,
                    std::byte* bytes);

// The whole packed weight as a launch's argument: its bytes are its buffer's, not what shape and dtype would
// say.
inline BufferArg reads_packed(const Tensor& weight) {
  return {weight.buffer.get(), weight.offset, static_cast<int64_t>(weight.buffer->bytes), Access::read};
}

}  // namespace reprise::ops

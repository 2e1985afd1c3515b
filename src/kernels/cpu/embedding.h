// Token embeddings, gathered from a packed weight: a head that is tied to the embedding shares its panels.
#pragma once

#include "core/dtype.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

// Buffers: 0 = token ids i32 [T], 1 = packed weight [vocab, K] of the activation dtype, 2 = out [T, K]. Work
// items: tokens. An id outside of [0, vocab) yields a row of zeros and raises
// KernelStatus::index_out_of_range.
struct EmbeddingScalars {
  int64_t vocab = 0;
  int64_t k = 0;
};

// dtype: f32 or bf16. One kernel for all ISA levels: it moves bits.
const Kernel& embedding_kernel(DType dtype);

}  // namespace reprise::kernels::cpu

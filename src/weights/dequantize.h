// Stored numbers to f32, row by row.
//
// Every value equals, bit for bit, what ggml's reference dequantisation (llama.cpp, ggml-quants.c, and the
// `gguf` Python package, quants.py) gives: the same products and sums in the same order, none contracted.
// Neither that result nor any step on the way is a denormal number, so flush-to-zero on the calling thread
// changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "weights/stored_type.h"

namespace reprise::weights {

// f32, f16, bf16, q4_0, q4_1, q5_0, q5_1, q8_0, q4_k, q5_k, q6_k.
bool can_dequantize(StoredType type);

// `in`: n / block * bytes bytes of `type`, at any alignment. `out`: n floats. n must be a multiple of the
// block of `type`, and can_dequantize(type) must hold. Safe from any thread.
void dequantize_row(StoredType type, const std::byte* in, float* out, int64_t n);

}  // namespace reprise::weights

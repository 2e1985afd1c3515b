// Normalisations of rows. Work items are rows (a per-head norm has T * heads rows of head_dim). f32 or bf16
// rows, f32 weights. Sums run over 16 lanes (element i in lane i % 16, in order) and one tree.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct NormScalars {
  int64_t dim = 0;  // >= 1
  float eps = 0;
  Unused<4> unused{};
};

// y = round(round(x * rsqrt(mean(x^2) + eps)) * weight), the roundings to the activation type, as
// LlamaRMSNorm of transformers has it.
//   0 x [rows, dim]   1 weight f32 [dim]   2 y [rows, dim], may be x
const Kernel& rms_norm_kernel(Isa isa, DType dtype);

// sum = round(x + residual); y = rms_norm(sum): the bits of add and rms_norm one after the other.
//   0 x [rows, dim]   1 residual [rows, dim]   2 weight f32 [dim]   3 sum [rows, dim], may be x or residual
//   4 y [rows, dim], may be x or residual, not sum
const Kernel& add_rms_norm_kernel(Isa isa, DType dtype);

// y = round((x - mean) * rsqrt(variance + eps) * weight + bias)
//   0 x [rows, dim]   1 weight f32 [dim]   2 bias f32 [dim] or absent   3 y [rows, dim], may be x
const Kernel& layer_norm_kernel(Isa isa, DType dtype);

inline LaunchDims row_dims(Dim rows) {
  return {.items = rows, .grain = 1};
}

}  // namespace reprise::kernels::cpu

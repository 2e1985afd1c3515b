// Elementwise kernels. Work items are elements, in any cut. f32 or bf16: each computes in f32 and rounds once
// at its output, as torch does.
#pragma once

#include "kernels/cpu/vec_kernels.h"

namespace reprise::kernels::cpu {

struct NoScalars {};

// Rows of vec_kernels.inc of the form `binary` (add, mul)
//   0 a [elements]   1 b [elements]   2 y [elements], may be a or b
// and of the form `unary` (silu: x / (1 + exp(-x)); gelu: x / 2 * (1 + erf(x / sqrt 2)); gelu_tanh: the
// approximation by tanh)
//   0 x [elements]   1 y [elements], may be x

struct ScaleScalars {
  float factor = 1;
};
// 0 x [elements]   1 y [elements], may be x: y = x * factor
const Kernel& scale_kernel(Isa isa, DType dtype);

struct GateScalars {
  int64_t columns = 0;  // of a row, >= 1
  // Elements from row to row, >= columns: gate and up may be halves of one [rows, 2 * columns].
  int64_t gate_stride = 0;
  int64_t up_stride = 0;
  int64_t y_stride = 0;
};
// y = round(round(silu(gate)) * up): the bits of silu and mul one after the other; gelu, gelu_tanh alike.
// Items are the rows * columns elements.
//   0 gate [rows, columns]   1 up [rows, columns]   2 y [rows, columns], may be gate or up with its stride
const Kernel& silu_mul_kernel(Isa isa, DType dtype);
const Kernel& gelu_mul_kernel(Isa isa, DType dtype);
const Kernel& gelu_tanh_mul_kernel(Isa isa, DType dtype);

inline LaunchDims element_dims(Dim elements) {
  return {.items = elements, .grain = 4096};
}

}  // namespace reprise::kernels::cpu

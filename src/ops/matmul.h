// y = x W^T + b with a packed weight; the output's rows are x's.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// x [rows, K], weight packed [N, K], bias f32 [N] or empty -> [rows, N] of dtype `out`.
// Sum over k in the ISA level's one order, then + bias, then one rounding to `out`.
Tensor matmul(const Tensor& x, const Tensor& weight, const Tensor& bias, DType out);

extern const OpSchema kMatmul;

}  // namespace reprise::ops

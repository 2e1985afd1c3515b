// y = x W^T + b with a packed weight; the output's rows are x's.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

inline constexpr int kMaxMatmulSegments = 4;  // weights of a matmul_group

// x [rows, K], weight packed [N, K], bias f32 [N] or empty -> [rows, N] of dtype `out`.
// Sum over k in the ISA level's one order, then + bias, then one rounding to `out`.
Tensor matmul(const Tensor& x, const Tensor& weight, const Tensor& bias, DType out,
              Where where = Where::current());

extern const OpSchema kMatmul;

// Fused, made by passes: one pass over x for several weights. (x, weight0, bias0 .. weight3, bias3) {out} ->
// one output for each weight that is there, matmul(x, weight, bias, out). Those absent are the last ones; any
// bias may be absent.
extern const OpSchema kMatmulGroup;

}  // namespace reprise::ops

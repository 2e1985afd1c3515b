// Normalisations over the last `weight.shape[0]` elements: over a whole row, or head by head (Qwen3's q and k
// norms).
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// x [rows, n * dim], weight f32 [dim] -> same shape; y = round(x / sqrt(mean(x^2) + eps)) * weight, group by
// group.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, Where where = Where::current());
// y = (x - mean) / sqrt(var + eps) * weight + bias (bias f32 [dim] or empty).
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                  Where where = Where::current());

extern const OpSchema kRmsNorm;
extern const OpSchema kLayerNorm;

// Fused, made by passes. (x, residual, weight) {eps} -> sum = add(x, residual), rms_norm(sum, weight, eps);
// x and residual are alike.
extern const OpSchema kAddRmsNorm;

}  // namespace reprise::ops

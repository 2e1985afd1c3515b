// Element by element, each rounded once to the activations' dtype.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

Tensor add(const Tensor& a, const Tensor& b);  // same shape and dtype
Tensor mul(const Tensor& a, const Tensor& b);
Tensor silu(const Tensor& x);       // x / (1 + exp(-x))
Tensor gelu(const Tensor& x);       // x * Phi(x)
Tensor gelu_tanh(const Tensor& x);  // the tanh approximation

extern const OpSchema kAdd;
extern const OpSchema kMul;
extern const OpSchema kSilu;
extern const OpSchema kGelu;
extern const OpSchema kGeluTanh;

}  // namespace reprise::ops

// Element by element, each rounded once to the activations' dtype.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// a and b of the same shape and dtype
Tensor add(const Tensor& a, const Tensor& b, Where where = Where::current());
Tensor mul(const Tensor& a, const Tensor& b, Where where = Where::current());
// x / (1 + exp(-x)); x * Phi(x); the approximation of that by tanh
Tensor silu(const Tensor& x, Where where = Where::current());
Tensor gelu(const Tensor& x, Where where = Where::current());
Tensor gelu_tanh(const Tensor& x, Where where = Where::current());

extern const OpSchema kAdd;
extern const OpSchema kMul;
extern const OpSchema kSilu;
extern const OpSchema kGelu;
extern const OpSchema kGeluTanh;

// Fused, made by passes. (gate, up) -> mul(silu(gate), up), and so on.
extern const OpSchema kSiluMul;
extern const OpSchema kGeluMul;
extern const OpSchema kGeluTanhMul;

}  // namespace reprise::ops

// Functions of one element, written once for every type that has the operations of kernels/cpu/vec.h: vectors
// of each ISA level, values of a program being built (builder.h), values of generated code. Transcendental ones
// are our own, so that they give the same bits on every machine: libm changes its variants with the CPU.
// Polynomials are minimax fits (Remez) to the function on the reduced range; errors below are in ulp of f32,
// against the exact value (tests/kernels/math_test.cc measures them). Denormals are zero here.
//
// A type V gives: + - * /, and by argument-dependent lookup fma, min, max, sqrt, negate, abs, copysign,
// select_less, pow2_of_shifted, and like(v, number), a constant of v's type.
#pragma once

#define REPRISE_FUNCTION [[gnu::always_inline]] inline

namespace reprise::loop::functions {

inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f;  // 10 bits: n * kLn2High is exact
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kRoundShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

// exp(r) for |r| <= ln2 / 2
template <typename V>
REPRISE_FUNCTION V exp_reduced(V r) {
  V p = like(r, 0.00138145953f);
  p = fma(p, r, like(r, 0.00836871658f));
  p = fma(p, r, like(r, 0.041668389f));
  p = fma(p, r, like(r, 0.166665211f));
  p = fma(p, r, like(r, 0.49999994f));
  return fma(r * r, p, r) + like(r, 1.0f);
}

// exp(x) for x <= 0, or NaN: at most 1.1 ulp; exp(0) = 1; 0 below -87.33 (the smallest normal number).
template <typename V>
REPRISE_FUNCTION V exp_nonpositive(V x) {
  const V shift = like(x, kRoundShift);
  const V t = fma(x, like(x, kLog2E), shift);
  const V n = t - shift;
  const V r = fma(n, like(x, -kLn2Low), fma(n, like(x, -kLn2High), x));
  return select_less(x, like(x, -87.3365402f), like(x, 0.0f), exp_reduced(r) * pow2_of_shifted(t));
}

// exp(x) for every x: infinity above 88.7228.
template <typename V>
REPRISE_FUNCTION V exp(V x) {
  const V shift = like(x, kRoundShift), zero = like(x, 0.0f);
  const V capped = min(like(x, 89.0f), x);  // keeps NaN
  const V t = fma(capped, like(x, kLog2E), shift);
  const V n = t - shift;
  const V r = fma(n, like(x, -kLn2Low), fma(n, like(x, -kLn2High), capped));
  // 2^n in two steps: n reaches 128.
  const V above = max(n, zero), below = min(n, zero);
  const V half = fma(above, like(x, 0.5f), shift) - shift;
  const V first = pow2_of_shifted(half + below + shift);
  const V second = pow2_of_shifted(above - half + shift);
  return select_less(x, like(x, -87.3365402f), zero, exp_reduced(r) * first * second);
}

// erf(x), at most 1.5 ulp: x + x * P(x^2) up to 1, else 1 - exp(-x * Q(x)).
template <typename V>
REPRISE_FUNCTION V erf(V x) {
  const V one = like(x, 1.0f);
  const V size = abs(x);
  const V s = x * x;
  V p = like(x, -9.64151604e-06f);
  p = fma(p, s, like(x, 0.000112569476f));
  p = fma(p, s, like(x, -0.000848282885f));
  p = fma(p, s, like(x, 0.00522094546f));
  p = fma(p, s, like(x, -0.0268654004f));
  p = fma(p, s, like(x, 0.112837821f));
  p = fma(p, s, like(x, -0.376126379f));
  p = fma(p, s, like(x, 0.128379166f));
  const V inner = fma(p, x, x);
  const V t = min(like(x, 4.0f), size);  // erf(4) rounds to 1; keeps NaN
  V q = like(x, 3.94659628e-06f);
  q = fma(q, t, like(x, -3.33235075e-05f));
  q = fma(q, t, like(x, -0.000113041067f));
  q = fma(q, t, like(x, 0.00310852425f));
  q = fma(q, t, like(x, -0.0229682736f));
  q = fma(q, t, like(x, 0.105547383f));
  q = fma(q, t, like(x, 0.635475457f));
  q = fma(q, t, like(x, 1.12858486f));
  const V outer = copysign(one - exp_nonpositive(negate(q * t)), x);
  return select_less(size, one, inner, outer);
}

// tanh(x), at most 2 ulp: x + x^3 * P(x^2) below 0.625 (the polynomial of Cephes' tanhf), else
// 1 - 2 / (exp(2x) + 1).
template <typename V>
REPRISE_FUNCTION V tanh(V x) {
  const V one = like(x, 1.0f), two = like(x, 2.0f);
  const V size = abs(x);
  const V s = x * x;
  V p = like(x, -5.70498872745e-3f);
  p = fma(p, s, like(x, 2.06390887954e-2f));
  p = fma(p, s, like(x, -5.37397155531e-2f));
  p = fma(p, s, like(x, 1.33314422036e-1f));
  p = fma(p, s, like(x, -3.33332819422e-1f));
  const V inner = fma(s * x, p, x);
  const V outer = copysign(one - two / (exp(size + size) + one), x);
  return select_less(size, like(x, 0.625f), inner, outer);
}

// 1 / (1 + exp(-x))
template <typename V>
REPRISE_FUNCTION V sigmoid(V x) {
  const V one = like(x, 1.0f);
  return one / (one + exp(negate(x)));
}

template <typename V>
REPRISE_FUNCTION V silu(V x) {
  return x / (like(x, 1.0f) + exp(negate(x)));
}

template <typename V>
REPRISE_FUNCTION V gelu(V x) {
  return x * like(x, 0.5f) * (like(x, 1.0f) + erf(x * like(x, 0.707106781f)));
}

// (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)), u = sqrt(2 / pi) * (x + 0.044715 x^3)
template <typename V>
REPRISE_FUNCTION V gelu_tanh(V x) {
  const V u = like(x, 0.797884561f) * fma(like(x, 0.044715f) * x * x, x, x);
  return x / (like(x, 1.0f) + exp(like(x, -2.0f) * u));
}

}  // namespace reprise::loop::functions

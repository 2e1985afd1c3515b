// Transcendental functions of our own on vec.h, so that they give the same bits on every machine: libm
// changes its variants with the CPU. Polynomials are minimax fits (Remez) to the function on the reduced
// range; errors below are in ulp of f32, against the exact value (tests/kernels/math_test.cc measures them).
// Denormals are zero here.
#pragma once

#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr float kLog2E = 1.44269504f;
inline constexpr float kLn2High = 0.693359375f;  // 10 bits: n * kLn2High is exact
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kRoundShift = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

// exp(r) for |r| <= ln2 / 2
REPRISE_VEC_INLINE Vec exp_reduced(Vec r) {
  Vec p = set1(0.00138145953f);
  p = fma(p, r, set1(0.00836871658f));
  p = fma(p, r, set1(0.041668389f));
  p = fma(p, r, set1(0.166665211f));
  p = fma(p, r, set1(0.49999994f));
  return fma(r * r, p, r) + set1(1.0f);
}

// exp(x) for x <= 0, or NaN: at most 1.1 ulp; exp(0) = 1; 0 below -87.33 (the smallest normal number).
REPRISE_VEC_INLINE Vec exp_nonpositive(Vec x) {
  const Vec t = fma(x, set1(kLog2E), set1(kRoundShift));
  const Vec n = t - set1(kRoundShift);
  const Vec r = fma(n, set1(-kLn2Low), fma(n, set1(-kLn2High), x));
  return select(less(x, set1(-87.3365402f)), zero(), exp_reduced(r) * pow2_of_shifted(t));
}

// exp(x) for every x: infinity above 88.7228.
REPRISE_VEC_INLINE Vec exp(Vec x) {
  const Vec capped = min(set1(89.0f), x);  // keeps NaN
  const Vec t = fma(capped, set1(kLog2E), set1(kRoundShift));
  const Vec n = t - set1(kRoundShift);
  const Vec r = fma(n, set1(-kLn2Low), fma(n, set1(-kLn2High), capped));
  // 2^n in two steps: n reaches 128.
  const Vec above = max(n, zero()), below = min(n, zero());
  const Vec half = (fma(above, set1(0.5f), set1(kRoundShift)) - set1(kRoundShift));
  const Vec first = pow2_of_shifted(half + below + set1(kRoundShift));
  const Vec second = pow2_of_shifted(above - half + set1(kRoundShift));
  return select(less(x, set1(-87.3365402f)), zero(), exp_reduced(r) * first * second);
}

// 1 / (1 + exp(-x))
REPRISE_VEC_INLINE Vec sigmoid(Vec x) {
  return set1(1.0f) / (set1(1.0f) + exp(negate(x)));
}

// erf(x), at most 1.5 ulp: x + x * P(x^2) up to 1, else 1 - exp(-x * Q(x)).
REPRISE_VEC_INLINE Vec erf(Vec x) {
  const Vec size = abs(x);
  const Vec s = x * x;
  Vec p = set1(-9.64151604e-06f);
  p = fma(p, s, set1(0.000112569476f));
  p = fma(p, s, set1(-0.000848282885f));
  p = fma(p, s, set1(0.00522094546f));
  p = fma(p, s, set1(-0.0268654004f));
  p = fma(p, s, set1(0.112837821f));
  p = fma(p, s, set1(-0.376126379f));
  p = fma(p, s, set1(0.128379166f));
  const Vec inner = fma(p, x, x);
  const Vec t = min(set1(4.0f), size);  // erf(4) rounds to 1; keeps NaN
  Vec q = set1(3.94659628e-06f);
  q = fma(q, t, set1(-3.33235075e-05f));
  q = fma(q, t, set1(-0.000113041067f));
  q = fma(q, t, set1(0.00310852425f));
  q = fma(q, t, set1(-0.0229682736f));
  q = fma(q, t, set1(0.105547383f));
  q = fma(q, t, set1(0.635475457f));
  q = fma(q, t, set1(1.12858486f));
  const Vec outer = copysign(set1(1.0f) - exp_nonpositive(negate(q * t)), x);
  return select(less(size, set1(1.0f)), inner, outer);
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

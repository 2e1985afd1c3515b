// Functions in double precision for the few places that need an f32 result rounded almost always correctly:
// rotary angles of positions up to millions, frequencies, the logarithm of a softmax sum. Scalar code, own
// series: the same bits on every machine, to about 2^-50.
#pragma once

#include <bit>

#include "kernels/cpu/vec.h"

namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE {

inline constexpr double kRoundShift64 = 6755399441055744.0;  // 1.5 * 2^52

// log(x), x normal and > 0: atanh series in s = (m - 1) / (m + 1), |s| <= 0.172.
REPRISE_VEC_INLINE double log64(double x) {
  uint64_t bits = std::bit_cast<uint64_t>(x);
  const uint64_t shifted = bits - 0x3fe6a09e667f3bcdull;  // sqrt(1/2)
  const double exponent = static_cast<double>(static_cast<int64_t>(shifted) >> 52);
  bits -= shifted & 0xfff0000000000000ull;
  const double m = std::bit_cast<double>(bits);
  const double s = (m - 1.0) / (m + 1.0);
  const double q = s * s;
  double p = 1.0 / 23;
  for (int k = 21; k >= 3; k -= 2) p = __builtin_fma(p, q, 1.0 / k);
  const double log_m = 2.0 * __builtin_fma(p * q, s, s);
  return __builtin_fma(exponent, 0.693147180369123816490,
                       __builtin_fma(exponent, 1.90821492927058770002e-10, log_m));
}

// exp(x), |x| < 700
REPRISE_VEC_INLINE double exp64(double x) {
  const double t = __builtin_fma(x, 1.44269504088896340736, kRoundShift64);
  const double n = t - kRoundShift64;
  const double r =
      __builtin_fma(n, -1.90821492927058770002e-10, __builtin_fma(n, -0.693147180369123816490, x));
  double p = 1.0 / 6227020800.0;  // 1 / 13!
  double factorial = 6227020800.0;
  for (int k = 13; k >= 1; --k) {
    factorial /= k;
    p = __builtin_fma(p, r, 1.0 / factorial);
  }
  return p * std::bit_cast<double>((std::bit_cast<uint64_t>(t) + 1023u) << 52);
}

// sin and cos of x, |x| < 2^30.
REPRISE_VEC_INLINE void sincos64(double x, double* sin, double* cos) {
  const double t = __builtin_fma(x, 0.63661977236758134308, kRoundShift64);
  const double n = t - kRoundShift64;
  // pi / 2 in two parts: with a fused multiply-add the first product is exact before it is subtracted.
  const double r =
      __builtin_fma(n, -6.12323399573676603587e-17, __builtin_fma(n, -1.57079632679489655800, x));
  const double q = r * r;
  double s = -1.0 / 1307674368000.0;  // 15!
  s = __builtin_fma(s, q, 1.0 / 6227020800.0);
  s = __builtin_fma(s, q, -1.0 / 39916800.0);
  s = __builtin_fma(s, q, 1.0 / 362880.0);
  s = __builtin_fma(s, q, -1.0 / 5040.0);
  s = __builtin_fma(s, q, 1.0 / 120.0);
  s = __builtin_fma(s, q, -1.0 / 6.0);
  s = __builtin_fma(s * q, r, r);
  double c = 1.0 / 20922789888000.0;  // 16!
  c = __builtin_fma(c, q, -1.0 / 87178291200.0);
  c = __builtin_fma(c, q, 1.0 / 479001600.0);
  c = __builtin_fma(c, q, -1.0 / 3628800.0);
  c = __builtin_fma(c, q, 1.0 / 40320.0);
  c = __builtin_fma(c, q, -1.0 / 720.0);
  c = __builtin_fma(c, q, 1.0 / 24.0);
  c = __builtin_fma(c, q, -0.5);
  c = __builtin_fma(c, q, 1.0);
  const uint64_t quadrant = std::bit_cast<uint64_t>(t) & 3u;
  const double sine = quadrant & 1u ? c : s, cosine = quadrant & 1u ? s : c;
  *sin = quadrant & 2u ? -sine : sine;
  *cos = (quadrant + 1u) & 2u ? -cosine : cosine;
}

}  // namespace reprise::kernels::cpu::REPRISE_VEC_NAMESPACE

// Our own functions against libm in double precision, over dense samples of their whole range.
#define REPRISE_VEC_NAMESPACE level_tested
#define REPRISE_VEC_LEVEL 0
#include <gtest/gtest.h>

#include <cmath>

#include "core/thread_team.h"
#include "kernels/cpu/math64_inl.h"
#include "kernels/cpu/math_inl.h"

namespace reprise::kernels::cpu::level_tested {
namespace {

double ulp(double exact) {
  const float f = std::max(std::abs(static_cast<float>(exact)), 1.17549435e-38f);
  return static_cast<double>(std::nextafter(f, INFINITY)) - f;
}

// The largest error in ulp of f over [low, high], at `samples` points.
template <typename F, typename G>
double worst(F f, G exact, double low, double high, int samples = 400000) {
  FlushDenormals flush;
  double most = 0;
  for (int i = 0; i < samples; i += kLanes) {
    Vec x;
    for (int j = 0; j < kLanes; ++j) x.lane[j] = static_cast<float>(low + (high - low) * (i + j) / samples);
    const Vec y = f(x);
    for (int j = 0; j < kLanes; ++j) {
      const double right = exact(static_cast<double>(x.lane[j]));
      most = std::max(most, std::abs(y.lane[j] - right) / ulp(right));
    }
  }
  return most;
}

TEST(MathTest, Exp) {
  const auto exact = [](double x) { return std::exp(x); };
  const auto ours = [](Vec x) { return exp(x); };
  const auto nonpositive = [](Vec x) { return exp_nonpositive(x); };
  const double wide = worst(ours, exact, -87.33, 88.72), near = worst(ours, exact, -1, 1);
  const double tail = worst(nonpositive, exact, -87.33, 0);
  RecordProperty("ulp", std::to_string(std::max({wide, near, tail})));
  EXPECT_LT(wide, 1.1);
  EXPECT_LT(near, 1.1);
  EXPECT_LT(tail, 1.1);
}

TEST(MathTest, ExpAtItsLimits) {
  const auto at = [](float x) { return exp(set1(x)).lane[0]; };
  EXPECT_EQ(at(0), 1);
  EXPECT_EQ(at(-INFINITY), 0);
  EXPECT_EQ(at(-88), 0);
  EXPECT_EQ(at(INFINITY), INFINITY);
  EXPECT_EQ(at(88.73f), INFINITY);
  EXPECT_TRUE(std::isfinite(at(88.72f)));
  EXPECT_TRUE(std::isnan(at(NAN)));
  EXPECT_EQ(exp_nonpositive(set1(0)).lane[0], 1);
  EXPECT_EQ(exp_nonpositive(set1(-INFINITY)).lane[0], 0);
  EXPECT_TRUE(std::isnan(exp_nonpositive(set1(NAN)).lane[0]));
  for (float x = -87.3f; x < 88.7f; x += 0.37f) {
    FlushDenormals flush;
    if (x <= 0) {
      EXPECT_EQ(at(x), exp_nonpositive(set1(x)).lane[0]) << x;
    }
  }
}

TEST(MathTest, Erf) {
  const auto exact = [](double x) { return std::erf(x); };
  const auto ours = [](Vec x) { return erf(x); };
  EXPECT_LT(worst(ours, exact, -5, 5), 1.5);
  EXPECT_LT(worst(ours, exact, -1e-3, 1e-3), 1.5);
  EXPECT_EQ(erf(set1(INFINITY)).lane[0], 1);
  EXPECT_EQ(erf(set1(-INFINITY)).lane[0], -1);
  EXPECT_TRUE(std::isnan(erf(set1(NAN)).lane[0]));
}

TEST(MathTest, LogAndExpInDouble) {
  double most_log = 0, most_exp = 0;
  for (double x = 1e-30; x < 1e30; x *= 1.0137) {
    const double right = std::log(x);
    most_log = std::max(most_log, std::abs(log64(x) - right) / std::max(std::abs(right), 1e-3));
    most_exp = std::max(most_exp, std::abs(exp64(right) / std::exp(right) - 1));
  }
  EXPECT_LT(most_log, 1e-15);
  EXPECT_LT(most_exp, 1e-15);
  EXPECT_EQ(log64(1.0), 0.0);
  EXPECT_EQ(exp64(0.0), 1.0);
}

TEST(MathTest, SineAndCosineOfLargeAngles) {
  double most = 0;
  for (double x = 0; x < 2e6; x += x < 100 ? 0.0173 : 3.7193) {
    const double angle = static_cast<float>(x);
    double sin, cos;
    sincos64(angle, &sin, &cos);
    most = std::max({most, std::abs(sin - std::sin(angle)), std::abs(cos - std::cos(angle))});
  }
  EXPECT_LT(most, 1e-15);
}

}  // namespace
}  // namespace reprise::kernels::cpu::level_tested

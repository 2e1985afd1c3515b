#include "kernels/cpu/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

constexpr int64_t kCounts[] = {1, 15, 16, 100, 4099};

double silu(double x) {
  return x / (1 + std::exp(-x));
}
double gelu(double x) {
  return x / 2 * std::erfc(-x / std::sqrt(2.0));
}
double gelu_tanh(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

struct UnaryCase {
  KernelPair VecTable::*pair;
  double (*exact)(double);
  double absolute;  // in the far tail, where the exact value is next to nothing
};

TEST(ElementwiseTest, Unary) {
  const UnaryCase cases[] = {
      {&VecTable::silu, silu, 0}, {&VecTable::gelu, gelu, 3e-7}, {&VecTable::gelu_tanh, gelu_tanh, 1e-7}};
  for (const UnaryCase& test : cases) {
    for (DType dtype : kActivations) {
      for (int64_t count : kCounts) {
        const auto x = random_values(dtype, count, 1, 4);
        const Call call{.items = count, .storage = {to_bytes(dtype, x), poison(dtype, count)}};
        const auto y = to_floats(dtype, run_everywhere(pick(test.pair, dtype), call)[1]);
        for (size_t i = 0; i < x.size(); ++i) {
          const double exact = test.exact(x[i]);
          EXPECT_NEAR(y[i], exact, std::abs(exact) * (rounding(dtype) + 4e-6) + test.absolute) << x[i];
        }
      }
    }
  }
}

TEST(ElementwiseTest, GatesAtTheirLimits) {
  const std::vector<float> x = {0.0f, -0.0f, 100.0f, -100.0f, 3e38f, -3e38f, INFINITY, NAN};
  const Call call{.items = 8, .storage = {to_bytes(DType::f32, x), poison(DType::f32, 8)}};
  for (auto pair : {&VecTable::silu, &VecTable::gelu, &VecTable::gelu_tanh}) {
    const auto y = to_floats(DType::f32, run_everywhere(pick(pair, DType::f32), call)[1]);
    EXPECT_EQ(y[0], 0);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], 100);
    EXPECT_NEAR(y[3], 0, 1e-30);
    EXPECT_EQ(y[4], 3e38f);
    EXPECT_EQ(y[5], 0);
    EXPECT_EQ(y[6], INFINITY);
    EXPECT_TRUE(std::isnan(y[7]));
  }
}

TEST(ElementwiseTest, BinaryAndScaleAreRoundedOnce) {
  for (DType dtype : kActivations) {
    for (int64_t count : kCounts) {
      const auto a = random_values(dtype, count, 1), b = random_values(dtype, count, 2);
      const Call call{.items = count,
                      .storage = {to_bytes(dtype, a), to_bytes(dtype, b), poison(dtype, count)}};
      std::vector<float> sum(a), product(a), scaled(a);
      for (size_t i = 0; i < a.size(); ++i) {
        sum[i] = a[i] + b[i];
        product[i] = a[i] * b[i];
        scaled[i] = a[i] * 0.3f;
      }
      EXPECT_TRUE(run_everywhere(pick(&VecTable::add, dtype), call)[2] == to_bytes(dtype, sum));
      EXPECT_TRUE(run_everywhere(pick(&VecTable::mul, dtype), call)[2] == to_bytes(dtype, product));
      const Call scale{.items = count,
                       .storage = {to_bytes(dtype, a), poison(dtype, count)},
                       .scalars = Call::scalar_bytes(ScaleScalars{.factor = 0.3f})};
      EXPECT_TRUE(run_everywhere(pick(&VecTable::scale, dtype), scale)[1] == to_bytes(dtype, scaled));
    }
  }
}

TEST(ElementwiseTest, Bf16RoundsToEvenAndKeepsNaN) {
  // Sums of bf16 values that lie between two bf16 values: 1 + 2^-8 is a tie, to even 1; 1 + 3 * 2^-8 to 1 +
  // 2^-6.
  const std::vector<float> a = {1.0f, 1.0f, 1.0f, NAN, 3e38f, -3e38f};
  const std::vector<float> b = {0.00390625f, 0.01171875f, 0.00393676758f, 1.0f, 3e38f, -3e38f};
  const Call call{.items = 6,
                  .storage = {to_bytes(DType::bf16, a), to_bytes(DType::bf16, b), poison(DType::bf16, 6)}};
  const auto y = to_floats(DType::bf16, run_everywhere(pick(&VecTable::add, DType::bf16), call)[2]);
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.015625f);
  EXPECT_EQ(y[2], 1.0078125f);
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[4], INFINITY);
  EXPECT_EQ(y[5], -INFINITY);
}

TEST(ElementwiseTest, FusedGateIsTheTwoOps) {
  for (auto [fused, plain] :
       {std::pair{&VecTable::silu_mul, &VecTable::silu}, std::pair{&VecTable::gelu_mul, &VecTable::gelu},
        std::pair{&VecTable::gelu_tanh_mul, &VecTable::gelu_tanh}}) {
    for (DType dtype : kActivations) {
      for (int64_t columns : {int64_t{1}, int64_t{17}, int64_t{48}, int64_t{1000}}) {
        const int64_t rows = 3, count = rows * columns;
        const Bytes gate = to_bytes(dtype, random_values(dtype, count, 1, 3));
        const Bytes up = to_bytes(dtype, random_values(dtype, count, 2)), empty = poison(dtype, count);
        const GateScalars scalars{
            .columns = columns, .gate_stride = columns, .up_stride = columns, .y_stride = columns};
        const Call call{.items = count, .storage = {gate, up, empty}, .scalars = Call::scalar_bytes(scalars)};
        const Bytes y = run_everywhere(pick(fused, dtype), call)[2];
        const Call first{.items = count, .storage = {gate, empty}};
        const Call second{.items = count,
                          .storage = {run_everywhere(pick(plain, dtype), first)[1], up, empty}};
        EXPECT_TRUE(y == run_everywhere(pick(&VecTable::mul, dtype), second)[2]);
      }
    }
  }
}

TEST(ElementwiseTest, GateReadsHalvesOfOneMatrix) {
  const int64_t rows = 4, columns = 21;
  const auto both = random_values(DType::f32, rows * 2 * columns, 1);
  std::vector<float> gate, up;
  for (int64_t r = 0; r < rows; ++r) {
    const auto row = both.begin() + r * 2 * columns;
    gate.insert(gate.end(), row, row + columns);
    up.insert(up.end(), row + columns, row + 2 * columns);
  }
  GateScalars scalars{.columns = columns, .gate_stride = columns, .up_stride = columns, .y_stride = columns};
  const Pick kernel = pick(&VecTable::silu_mul, DType::f32);
  const Call apart{
      .items = rows * columns,
      .storage = {to_bytes(DType::f32, gate), to_bytes(DType::f32, up), poison(DType::f32, rows * columns)},
      .scalars = Call::scalar_bytes(scalars)};
  const Bytes expected = run_everywhere(kernel, apart)[2];
  // The kernel is handed the matrix as gate and its second half as up: a copy shifted by one half stands for
  // it.
  scalars.gate_stride = scalars.up_stride = 2 * columns;
  const std::vector<float> shifted(both.begin() + columns, both.end());
  const Call halves{.items = rows * columns,
                    .storage = {to_bytes(DType::f32, both), to_bytes(DType::f32, shifted),
                                poison(DType::f32, rows * columns)},
                    .scalars = Call::scalar_bytes(scalars)};
  EXPECT_TRUE(run_everywhere(kernel, halves)[2] == expected);
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing

#include "kernels/cpu/norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

float rounded(DType dtype, double value) {
  const float f = static_cast<float>(value);
  return dtype == DType::bf16 ? bf16_to_f32(f32_to_bf16(f)) : f;
}

constexpr int64_t kRows = 5;
constexpr int64_t kDims[] = {1, 7, 16, 33, 80, 576, 1023};

TEST(NormTest, RmsNormFollowsTransformers) {
  for (DType dtype : kActivations) {
    for (int64_t dim : kDims) {
      SCOPED_TRACE(::testing::Message() << name_of(dtype) << " dim " << dim);
      const auto x = random_values(dtype, kRows * dim, 1), weight = random_values(dtype, dim, 2);
      const NormScalars scalars{.dim = dim, .eps = 1e-5f};
      const Call call{
          .items = kRows,
          .storage = {to_bytes(dtype, x), to_bytes(DType::f32, weight), poison(dtype, kRows * dim)},
          .scalars = Call::scalar_bytes(scalars)};
      const auto y = to_floats(dtype, run_everywhere(pick(&VecTable::rms_norm, dtype), call)[2]);
      for (int64_t r = 0; r < kRows; ++r) {
        double squares = 0;
        for (int64_t i = 0; i < dim; ++i) squares += static_cast<double>(x[r * dim + i]) * x[r * dim + i];
        const double scale = 1 / std::sqrt(squares / static_cast<double>(dim) + 1e-5);
        for (int64_t i = 0; i < dim; ++i) {
          const double exact = rounded(dtype, x[r * dim + i] * scale) * static_cast<double>(weight[i]);
          EXPECT_NEAR(y[r * dim + i], exact, std::abs(exact) * (2 * rounding(dtype) + 1e-6)) << r << " " << i;
        }
      }
    }
  }
}

TEST(NormTest, AddRmsNormIsAddThenRmsNorm) {
  for (DType dtype : kActivations) {
    for (int64_t dim : kDims) {
      SCOPED_TRACE(::testing::Message() << name_of(dtype) << " dim " << dim);
      const Bytes x = to_bytes(dtype, random_values(dtype, kRows * dim, 1));
      const Bytes residual = to_bytes(dtype, random_values(dtype, kRows * dim, 2));
      const Bytes weight = to_bytes(DType::f32, random_values(dtype, dim, 3));
      const Bytes empty = poison(dtype, kRows * dim);
      const Bytes scalars = Call::scalar_bytes(NormScalars{.dim = dim, .eps = 1e-6f});
      const Call fused{.items = kRows, .storage = {x, residual, weight, empty, empty}, .scalars = scalars};
      const auto both = run_everywhere(pick(&VecTable::add_rms_norm, dtype), fused);
      const Call add{.items = kRows * dim, .storage = {x, residual, empty}};
      const Bytes sum = run_everywhere(pick(&VecTable::add, dtype), add)[2];
      const Call norm{.items = kRows, .storage = {sum, weight, empty}, .scalars = scalars};
      EXPECT_TRUE(both[3] == sum);
      EXPECT_TRUE(both[4] == run_everywhere(pick(&VecTable::rms_norm, dtype), norm)[2]);
    }
  }
}

TEST(NormTest, LayerNormWithAndWithoutBias) {
  for (DType dtype : kActivations) {
    for (int64_t dim : kDims) {
      for (bool biased : {true, false}) {
        SCOPED_TRACE(::testing::Message() << name_of(dtype) << " dim " << dim << " bias " << biased);
        auto x = random_values(dtype, kRows * dim, 1);
        const auto weight = random_values(dtype, dim, 2), bias = random_values(dtype, dim, 3);
        const Call call{.items = kRows,
                        .storage = {to_bytes(dtype, x), to_bytes(DType::f32, weight),
                                    to_bytes(DType::f32, bias), poison(dtype, kRows * dim)},
                        .pointers = {0, 1, biased ? 2 : -1, 3},
                        .scalars = Call::scalar_bytes(NormScalars{.dim = dim, .eps = 1e-5f})};
        const auto y = to_floats(dtype, run_everywhere(pick(&VecTable::layer_norm, dtype), call)[3]);
        for (int64_t r = 0; r < kRows; ++r) {
          double mean = 0, variance = 0;
          for (int64_t i = 0; i < dim; ++i) mean += x[r * dim + i] / static_cast<double>(dim);
          for (int64_t i = 0; i < dim; ++i)
            variance += std::pow(x[r * dim + i] - mean, 2) / static_cast<double>(dim);
          for (int64_t i = 0; i < dim; ++i) {
            const double exact =
                (x[r * dim + i] - mean) / std::sqrt(variance + 1e-5) * weight[i] + (biased ? bias[i] : 0);
            EXPECT_NEAR(y[r * dim + i], exact, std::abs(exact) * rounding(dtype) + 3e-6) << r << " " << i;
          }
        }
      }
    }
  }
}

TEST(NormTest, WorksInPlace) {
  const int64_t dim = 37;
  const Bytes x = to_bytes(DType::bf16, random_values(DType::bf16, kRows * dim, 1));
  const Bytes weight = to_bytes(DType::f32, random_values(DType::bf16, dim, 2));
  const Bytes scalars = Call::scalar_bytes(NormScalars{.dim = dim, .eps = 1e-6f});
  Call apart{.items = kRows, .storage = {x, weight, x}, .scalars = scalars};
  Call in_place{.items = kRows, .storage = {x, weight}, .pointers = {0, 1, 0}, .scalars = scalars};
  const Pick rms = pick(&VecTable::rms_norm, DType::bf16);
  EXPECT_TRUE(run_everywhere(rms, apart)[2] == run_everywhere(rms, in_place)[0]);
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing

#include "kernels/cpu/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/cpu/gather.h"
#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

TEST(SoftmaxTest, LogSumExpAndLogSoftmax) {
  for (int64_t columns : {int64_t{1}, int64_t{15}, int64_t{16}, int64_t{1025}, int64_t{50003}}) {
    const int64_t rows = 3;
    auto x = random_values(DType::f32, rows * columns, 1, 5);
    x[static_cast<size_t>(columns / 2)] = -INFINITY;  // a token that is banned
    if (columns == 1) x[0] = 7;
    const Bytes scalars = Call::scalar_bytes(RowScalars{.columns = columns});
    const Bytes bytes = to_bytes(DType::f32, x);
    const Call sums{.items = rows, .storage = {bytes, poison(DType::f32, 2 * rows)}, .scalars = scalars};
    const Call logs{
        .items = rows, .storage = {bytes, poison(DType::f32, rows * columns)}, .scalars = scalars};
    const auto stats = to_floats(DType::f32, run_everywhere(pick(&VecTable::log_sum_exp), sums)[1]);
    const auto y = to_floats(DType::f32, run_everywhere(pick(&VecTable::log_softmax), logs)[1]);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = x.data() + r * columns;
      double largest = -INFINITY, sum = 0;
      for (int64_t i = 0; i < columns; ++i) largest = std::max<double>(largest, row[i]);
      for (int64_t i = 0; i < columns; ++i) sum += std::exp(row[i] - largest);
      EXPECT_EQ(stats[2 * r], largest);
      EXPECT_NEAR(stats[2 * r + 1], std::log(sum), 1e-6 * std::max(1.0, std::log(sum)));
      for (int64_t i = 0; i < columns; ++i) {
        const double exact = row[i] - largest - std::log(sum);
        if (std::isinf(row[i]))
          EXPECT_EQ(y[r * columns + i], -INFINITY);
        else
          ASSERT_NEAR(y[r * columns + i], exact, 1e-6 * std::max(1.0, std::abs(exact)));
      }
    }
  }
}

TEST(SoftmaxTest, ARowWithNaNGivesNaN) {
  std::vector<float> x(40, 1.0f);
  x[33] = NAN;
  const Call call{.items = 1,
                  .storage = {to_bytes(DType::f32, x), poison(DType::f32, 2)},
                  .scalars = Call::scalar_bytes(RowScalars{.columns = 40})};
  for (const Level& level : levels()) {
    Call copy = call;
    run(level.table->log_sum_exp, copy, 0);
    EXPECT_TRUE(std::isnan(to_floats(DType::f32, copy.storage[1])[1])) << level.name;
  }
}

TEST(SoftmaxTest, ArgmaxTakesTheLowestIndex) {
  const int64_t columns = 77;
  std::vector<float> x(6 * columns, -3.0f);
  x[0 * columns + 40] = x[0 * columns + 9] = 2.0f;
  x[1 * columns + 76] = 0.5f;
  x[2 * columns + 3] = NAN;
  x[2 * columns + 50] = 1.0f;
  for (int64_t i = 0; i < columns; ++i) x[3 * columns + i] = -INFINITY;
  for (int64_t i = 0; i < columns; ++i) x[4 * columns + i] = NAN;
  const Call call{.items = 6,
                  .storage = {to_bytes(DType::f32, x), poison(DType::i32, 6)},
                  .scalars = Call::scalar_bytes(RowScalars{.columns = columns})};
  EXPECT_TRUE(run_everywhere(pick(&VecTable::argmax), call)[1] == int_bytes({9, 76, 50, 0, 0, 0}));
}

TEST(GatherTest, PicksRows) {
  for (DType dtype : kActivations) {
    const int64_t dim = 19;
    const auto x = random_values(dtype, 8 * dim, 1);
    const std::vector<int32_t> rows = {7, 0, 3, 3};
    const Call call{.items = 4,
                    .storage = {to_bytes(dtype, x), int_bytes(rows), poison(dtype, 4 * dim)},
                    .scalars = Call::scalar_bytes(GatherScalars{.dim = dim})};
    std::vector<float> expected;
    for (int32_t r : rows) expected.insert(expected.end(), x.begin() + r * dim, x.begin() + (r + 1) * dim);
    EXPECT_TRUE(run_everywhere(pick(&VecTable::gather_rows, dtype), call)[2] == to_bytes(dtype, expected));
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing

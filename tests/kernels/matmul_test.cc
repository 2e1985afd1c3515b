// Every ISA level against a double reference, and the numeric contract bit by bit. Levels that this CPU lacks
// run where an emulation exists (matmul_emulated.h); the rest of their path is skipped with a message.
#include "kernels/cpu/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/thread_team.h"
#include "device/cpu/isa_select.h"
#include "tests/kernels/matmul_cases.h"
#include "tests/kernels/matmul_emulated.h"

namespace reprise::kernels::cpu::testing {
namespace {

struct Case {
  Isa isa;
  DType dtype;
  bool emulated;
};

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) {
  return std::string(name_of(info.param.isa)) + "_" + std::string(name_of(info.param.dtype)) +
         (info.param.emulated ? "_emulated" : "");
}

bool available(Isa isa) {
  const auto isas = reprise::cpu::available_isas();
  return std::find(isas.begin(), isas.end(), isa) != isas.end();
}

class Matmul : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    level_.isa = GetParam().isa;
    if (GetParam().emulated)
      level_.emulated = emulated_matmul(level_.isa, dtype());
    else if (!available(level_.isa))
      GTEST_SKIP() << "this CPU lacks " << name_of(level_.isa);
  }
  DType dtype() const { return GetParam().dtype; }
  Matrix one(const Matrix& x, const Segment& segment, DType out = DType::f32,
             std::vector<int64_t> cuts = {}) const {
    return multiply(level_, dtype(), out, x, {&segment, 1}, std::move(cuts))[0];
  }

  Level level_{Isa::scalar};
  FlushDenormals flush_;  // as the stream does around kernels
};

TEST_P(Matmul, AgreesWithDoubles) {
  for (int64_t k : {1, 31, 32, 33, 344, 1024})
    for (int64_t n : {1, 15, 33, 320}) {
      const Segment segment = random_segment(dtype(), n, k, n % 2 == 1, static_cast<uint32_t>(k * 1000 + n));
      for (int64_t m : {1, 2, 3, 7, 16, 17, 64, 130}) {
        if (m * n * k > 8'000'000) continue;  // the reference is slow
        const Matrix x = Matrix::random(dtype(), m, k, static_cast<uint32_t>(m));
        for (DType out : {DType::f32, DType::bf16})
          ASSERT_LE(worst_error(one(x, segment, out), x, segment, out), 1.0)
              << "M " << m << " N " << n << " K " << k << " to " << name_of(out);
      }
    }
}

TEST_P(Matmul, RowsDontDependOnTheBatch) {
  for (int64_t k : {33, 600, 1056, 2048}) {
    const Segment segment = random_segment(dtype(), 70, k, true, 5);
    const Matrix x = Matrix::random(dtype(), 64, k, 6);
    const Matrix all = one(x, segment);
    for (int64_t m : {1, 2, 3, 5, 6, 7, 12, 13, 16, 17, 33}) {
      for (int64_t r = 0; r + m <= x.rows; r += 21) {
        Matrix part{m, k, {x.values.begin() + r * k, x.values.begin() + (r + m) * k}};
        const Matrix y = one(part, segment);
        ASSERT_EQ(0, std::memcmp(y.values.data(), all.values.data() + r * 70, y.values.size() * 4))
            << m << " rows from " << r << ", K " << k;
      }
    }
  }
}

TEST_P(Matmul, ItemsMayBeCutAnywhere) {
  const Segment segment = random_segment(dtype(), 7 * 32 + 5, 200, false, 7);
  const Matrix x = Matrix::random(dtype(), 19, 200, 8);
  const Matrix whole = one(x, segment, DType::bf16);
  EXPECT_TRUE(same_bits(whole, one(x, segment, DType::bf16, {1, 2, 3, 4, 5, 6, 7})));
  EXPECT_TRUE(same_bits(whole, one(x, segment, DType::bf16, {3, 7})));
}

TEST_P(Matmul, SegmentsEqualSeparateCalls) {
  const int64_t k = 96;
  const Matrix x = Matrix::random(dtype(), 9, k, 1);
  const std::vector<Segment> segments = {
      random_segment(dtype(), 64, k, true, 10), random_segment(dtype(), 17, k, false, 11),
      random_segment(dtype(), 33, k, true, 12), random_segment(dtype(), 1, k, false, 13)};
  const auto together = multiply(level_, dtype(), DType::f32, x, segments, {1, 4});
  for (size_t i = 0; i < segments.size(); ++i)
    EXPECT_TRUE(same_bits(together[i], one(x, segments[i]))) << "segment " << i;
}

TEST_P(Matmul, NanStaysInItsRow) {
  for (int64_t k : {1, 31, 33, 64}) {
    const Segment segment = random_segment(dtype(), 40, k, false, 2);
    Matrix x = Matrix::random(dtype(), 14, k, 3);
    const Matrix clean = one(x, segment);
    for (int64_t i = 0; i < k; ++i)
      x.values[static_cast<size_t>(5 * k + i)] = std::numeric_limits<float>::quiet_NaN();
    for (DType out : {DType::f32, DType::bf16}) {
      const Matrix y = one(x, segment, out);
      for (int64_t r = 0; r < x.rows; ++r)
        for (int64_t c = 0; c < 40; ++c)
          ASSERT_EQ(std::isnan(y.at(r, c)), r == 5) << "row " << r << " K " << k;
    }
    const Matrix y = one(x, segment);
    EXPECT_EQ(0, std::memcmp(y.values.data(), clean.values.data(), static_cast<size_t>(5 * 40) * 4));
    EXPECT_EQ(0, std::memcmp(y.values.data() + 6 * 40, clean.values.data() + 6 * 40,
                             static_cast<size_t>(8 * 40) * 4));
  }
}

// Longer than what is widened at a time, and more rows than one pass takes.
TEST_P(Matmul, LongRowsAndManyRows) {
  const Segment deep = random_segment(dtype(), 33, 20001, false, 20);
  const Matrix x = Matrix::random(dtype(), 7, 20001, 21);
  const Matrix y = one(x, deep);
  EXPECT_LE(worst_error(y, x, deep, DType::f32), 1.0);
  EXPECT_EQ(0, std::memcmp(one(x.row(6), deep).values.data(), y.values.data() + 6 * 33, 33 * 4));

  const Segment flat = random_segment(dtype(), 40, 35, true, 22);
  const Matrix many = Matrix::random(dtype(), 2100, 35, 23);
  const Matrix z = one(many, flat);
  EXPECT_LE(worst_error(z, many, flat, DType::f32), 1.0);
  for (int64_t r : {0, 1007, 1008, 2015, 2016, 2099})
    EXPECT_EQ(0, std::memcmp(one(many.row(r), flat).values.data(), z.values.data() + r * 40, 40 * 4))
        << "row " << r;

  const Segment wide = random_segment(dtype(), 40, 4100, false, 24);
  const Matrix some = Matrix::random(dtype(), 103, 4100, 25);
  const Matrix v = one(some, wide);
  EXPECT_LE(worst_error(v, some, wide, DType::f32), 1.0);
  for (int64_t r : {0, 25, 26, 27, 30, 51, 52, 77, 78, 102})
    EXPECT_EQ(0, std::memcmp(one(some.row(r), wide).values.data(), v.values.data() + r * 40, 40 * 4))
        << "row " << r;
}

// The levels that promise one chain of float FMAs agree with the scalar level bit by bit.
TEST_P(Matmul, ChainsEqualTheScalarLevel) {
  if (dtype() == DType::bf16 && level_.isa > Isa::avx512)
    GTEST_SKIP() << "this level has an order of its own";
  for (int64_t k : {1, 33, 700}) {
    const Segment segment = random_segment(dtype(), 50, k, true, 30);
    const Matrix x = Matrix::random(dtype(), 20, k, 31);
    const Matrix scalar = multiply({Isa::scalar}, dtype(), DType::f32, x, {&segment, 1})[0];
    EXPECT_TRUE(same_bits(scalar, one(x, segment))) << "K " << k;
  }
}

// A team for which the panels alone are too few: rows are cut as well, and no bit depends on it.
TEST(MatmulRows, MayBeCut) {
  const FlushDenormals flush;
  const int64_t k = 72;
  const std::vector<int64_t> cuts = {1, 2, 9, 10, 11, 23};
  for (DType dtype : {DType::f32, DType::bf16}) {
    const std::vector<Segment> segments = {random_segment(dtype, 70, k, true, 40),
                                           random_segment(dtype, 33, k, false, 41)};
    for (Isa isa : reprise::cpu::available_isas())
      for (int64_t rows : {130, 161, 512}) {
        const Matrix x = Matrix::random(dtype, rows, k, 42);
        const auto whole = multiply({isa}, dtype, dtype, x, segments);
        const auto cut = multiply({isa}, dtype, dtype, x, segments, cuts, 64);
        for (size_t i = 0; i < segments.size(); ++i)
          EXPECT_TRUE(same_bits(whole[i], cut[i]))
              << rows << " rows at " << name_of(isa) << ", segment " << i;
      }
  }
}

// 512 rows by 1,024 outputs: 32 panels, which keep no more workers busy.
TEST(MatmulRows, AreWorkForALargeTeam) {
  MatmulScalars scalars{.rows = kTokens, .k = 2048, .n = {1024}};
  const LaunchDims dims = cut_matmul(scalars, Isa::amx, DType::bf16, 64);
  EXPECT_GE(dims.work_items({.tokens = 512, .seqs = 1}), 4 * 64);
  EXPECT_EQ(dims.grain, 1);
  EXPECT_EQ(dims.work_items({.tokens = 1, .seqs = 1}), 32);
  EXPECT_EQ(dims.work_items({.tokens = 0, .seqs = 0}), 0);
  EXPECT_EQ(dims.rows_per_block, scalars.rows_per_block);

  MatmulScalars small{.rows = kTokens, .k = 2048, .n = {1024}};
  EXPECT_EQ(cut_matmul(small, Isa::amx, DType::bf16, 2).work_items({.tokens = 512, .seqs = 1}), 32);
  EXPECT_EQ(small.rows_per_block, 0);
}

// The 32 panels of a decode step stay 32 items; 512 rows are four blocks where x is widened.
TEST(MatmulRows, AreCutWhereXIsWidened) {
  const auto items = [](Isa isa, DType dtype, int64_t k, int workers, int64_t rows) {
    MatmulScalars scalars{.rows = kTokens, .k = k, .n = {1024}};
    return cut_matmul(scalars, isa, dtype, workers).work_items({.tokens = rows, .seqs = 1});
  };
  for (Isa isa : {Isa::avx2, Isa::avx512}) {
    EXPECT_EQ(items(isa, DType::bf16, 2048, 2, 1), 32);
    EXPECT_EQ(items(isa, DType::bf16, 2048, 2, 128), 32);
    EXPECT_EQ(items(isa, DType::bf16, 2048, 2, 512), 4 * 32);
    EXPECT_EQ(items(isa, DType::bf16, 2048, 1, 512), 32);
    EXPECT_EQ(items(isa, DType::bf16, 8192, 2, 512), 32);
    EXPECT_EQ(items(isa, DType::f32, 2048, 2, 512), 32);
  }
  EXPECT_EQ(items(Isa::avx512_bf16, DType::bf16, 2048, 2, 512), 32);
}

TEST(MatmulRows, WidenedInBlocksAreTheSameBits) {
  const FlushDenormals flush;
  const std::vector<Segment> segments = {random_segment(DType::bf16, 270, 72, true, 40)};
  for (Isa isa : reprise::cpu::available_isas()) {
    if (isa != Isa::avx2 && isa != Isa::avx512) continue;
    for (int64_t rows : {129, 300, 512}) {
      const Matrix x = Matrix::random(DType::bf16, rows, 72, 42);
      const auto whole = multiply({isa}, DType::bf16, DType::bf16, x, segments);
      const auto cut = multiply({isa}, DType::bf16, DType::bf16, x, segments, {1, 4, 9, 17}, 2);
      EXPECT_TRUE(same_bits(whole[0], cut[0])) << rows << " rows at " << name_of(isa);
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (DType dtype : {DType::f32, DType::bf16})
    for (Isa isa : kAllIsas) {
      cases.push_back({isa, dtype, false});
      if (emulated_matmul(isa, dtype) != nullptr) cases.push_back({isa, dtype, true});
    }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Levels, Matmul, ::testing::ValuesIn(all_cases()), name_of_case);

}  // namespace
}  // namespace reprise::kernels::cpu::testing

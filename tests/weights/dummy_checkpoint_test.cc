#include "weights/dummy_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "tests/weights/file_builders.h"

namespace reprise::weights {
namespace {

using testing::Each;
using testing::HasSubstr;

DummyCheckpoint example(uint64_t seed = 0) {
  return DummyCheckpoint({{"w", {300, 200}}, {"v", {300, 200}}, {"x.norm.weight", {64}}, {"w.bias", {64}}},
                         seed);
}

TEST(DummyCheckpoint, AnyRowInAnyOrderGivesTheSameNumbers) {
  const DummyCheckpoint checkpoint = example();
  const std::vector<float> whole = checkpoint.read_f32("w");
  std::vector<float> row(200);
  for (int64_t i : {299, 0, 17}) {
    checkpoint.read_rows_f32("w", i, i + 1, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), whole.begin() + i * 200)) << i;
  }
  EXPECT_EQ(example().read_f32("w"), whole);
  EXPECT_NE(example(1).read_f32("w"), whole);
  EXPECT_NE(checkpoint.read_f32("v"), whole);
}

TEST(DummyCheckpoint, NumbersHaveTheSpreadOfATrainedModel) {
  const DummyCheckpoint checkpoint = example();
  double sum = 0, squares = 0;
  const std::vector<float> values = checkpoint.read_f32("w");
  for (float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 0.002);
  EXPECT_NEAR(std::sqrt(squares / count), 1.0 / std::sqrt(200.0), 0.002);
  // Neighbouring rows and columns must not repeat one another.
  double product = 0;
  for (size_t i = 200; i < values.size(); ++i) product += static_cast<double>(values[i]) * values[i - 200];
  EXPECT_NEAR(product / squares, 0.0, 0.02);
  EXPECT_THAT(checkpoint.read_f32("x.norm.weight"),
              Each(testing::AllOf(testing::Gt(0.89f), testing::Lt(1.11f))));
  EXPECT_THAT(checkpoint.read_f32("w.bias"), Each(testing::AllOf(testing::Gt(-0.021f), testing::Lt(0.021f))));
}

TEST(DummyCheckpoint, RefusesWrongLists) {
  using List = std::vector<std::pair<std::string, std::vector<int64_t>>>;
  EXPECT_THAT(error_of<Error>([] { DummyCheckpoint(List{{"a", {0}}}); }), HasSubstr("shape [0]"));
  EXPECT_THAT(error_of<Error>([] { DummyCheckpoint(List{{"a", {1}}, {"a", {1}}}); }), HasSubstr("twice"));
  EXPECT_THAT(error_of<Error>([] { example().info("q"); }), HasSubstr("no tensor 'q'"));
}

}  // namespace
}  // namespace reprise::weights

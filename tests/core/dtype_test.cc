#include "core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace reprise {
namespace {

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // tie, to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // tie, to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (const float value = bf16_to_f32(static_cast<uint16_t>(bits)); !std::isnan(value)) {
      ASSERT_EQ(f32_to_bf16(value), bits);
    }
}

TEST(F16, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (const float value = f16_to_f32(static_cast<uint16_t>(bits)); !std::isnan(value)) {
      ASSERT_EQ(f32_to_f16(value), bits) << value;
    }
}

TEST(F16, NearestHalfByExhaustiveNeighbours) {
  std::mt19937 random(3);
  for (int i = 0; i < 100000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!(std::fabs(value) < 65504.0f)) continue;
    const uint16_t half = f32_to_f16(value);
    const double error = std::fabs(static_cast<double>(f16_to_f32(half)) - value);
    for (const int step : {-1, 1}) {
      const float neighbour = f16_to_f32(static_cast<uint16_t>(half + step));
      if (std::isfinite(neighbour) && std::signbit(neighbour) == std::signbit(value)) {
        ASSERT_LE(error, std::fabs(static_cast<double>(neighbour) - value)) << value;
      }
    }
  }
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e-9f), 0);
}

TEST(DType, NamesRoundTrip) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::i32})
    EXPECT_EQ(parse_dtype(name_of(dtype)), dtype);
  EXPECT_FALSE(parse_dtype("float31"));
}

}  // namespace
}  // namespace reprise

#include "kernels/cpu/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/vec_cases.h"

namespace reprise::kernels::cpu::testing {
namespace {

float to_bf16_value(float x) {
  return bf16_to_f32(f32_to_bf16(x));
}

std::vector<float> default_inv_freq(int64_t half, double base) {
  std::vector<float> inv_freq;
  for (int64_t i = 0; i < half; ++i)
    inv_freq.push_back(
        static_cast<float>(std::pow(base, -static_cast<double>(i) / static_cast<double>(half))));
  return inv_freq;
}

Call angles_call(const std::vector<int32_t>& positions, const std::vector<int32_t>& lengths,
                 const std::vector<float>& inv_freq, const RotaryAnglesScalars& scalars) {
  const int64_t tokens = static_cast<int64_t>(positions.size());
  const Bytes empty = poison(DType::f32, tokens * scalars.half);
  return {.sizes = {.tokens = tokens, .seqs = 1},
          .items = tokens,
          .storage = {int_bytes(positions), int_bytes(lengths), to_bytes(DType::f32, inv_freq), empty, empty},
          .pointers = {0, scalars.dynamic ? 1 : -1, 2, 3, 4},
          .scalars = Call::scalar_bytes(scalars)};
}

TEST(RotaryTest, AnglesAreRightForLargePositions) {
  const std::vector<int32_t> positions = {0, 1, 2, 99, 4095, 131071, 999999};
  for (int64_t half : {int64_t{1}, int64_t{8}, int64_t{40}}) {
    for (bool round : {false, true}) {
      const auto inv_freq = default_inv_freq(half, 10000);
      const RotaryAnglesScalars scalars{.half = half, .attention_scaling = 1.25f, .round_bf16 = round};
      const auto out =
          run_everywhere(pick(&VecTable::rotary_angles), angles_call(positions, {}, inv_freq, scalars));
      const auto cos = to_floats(DType::f32, out[3]), sin = to_floats(DType::f32, out[4]);
      for (size_t t = 0; t < positions.size(); ++t) {
        for (int64_t i = 0; i < half; ++i) {
          const float angle = static_cast<float>(positions[t]) * inv_freq[i];
          float c = static_cast<float>(std::cos(static_cast<double>(angle))) * 1.25f;
          float s = static_cast<float>(std::sin(static_cast<double>(angle))) * 1.25f;
          if (round) {
            c = to_bf16_value(c);
            s = to_bf16_value(s);
          }
          EXPECT_FLOAT_EQ(cos[t * half + i], c) << positions[t];
          EXPECT_FLOAT_EQ(sin[t * half + i], s) << positions[t];
        }
      }
    }
  }
}

TEST(RotaryTest, DynamicBaseFollowsTheLength) {
  const int64_t half = 8;
  const RotaryAnglesScalars scalars{
      .half = half, .dynamic = true, .base = 10000, .factor = 2.5, .original_max_position = 64};
  const std::vector<int32_t> positions = {3, 63, 64, 70, 70, 3}, lengths = {64, 64, 65, 71, 200, 200};
  const auto inv_freq = default_inv_freq(half, 10000);
  const auto out =
      run_everywhere(pick(&VecTable::rotary_angles), angles_call(positions, lengths, inv_freq, scalars));
  const auto cos = to_floats(DType::f32, out[3]), sin = to_floats(DType::f32, out[4]);
  for (size_t t = 0; t < positions.size(); ++t) {
    double base = 10000;
    if (lengths[t] > 64) base *= std::pow(2.5 * lengths[t] / 64 - 1.5, 16.0 / 14.0);
    for (int64_t i = 0; i < half; ++i) {
      const double angle = positions[t] * std::pow(base, -static_cast<double>(i) / half);
      EXPECT_NEAR(cos[t * half + i], std::cos(angle), 2e-5) << t << " " << i;
      EXPECT_NEAR(sin[t * half + i], std::sin(angle), 2e-5) << t << " " << i;
    }
  }
}

TEST(RotaryTest, TurnsPairsWithTheRoundingsOfTransformers) {
  const int64_t tokens = 3, heads = 5;
  struct Shape {
    int64_t head_dim, rot_dim;
  };
  for (const Shape shape :
       {Shape{8, 8}, Shape{16, 16}, Shape{64, 64}, Shape{80, 80}, Shape{80, 20}, Shape{128, 64}}) {
    for (DType dtype : kActivations) {
      for (bool interleaved : {false, true}) {
        for (bool round : {false, true}) {
          const auto [head_dim, rot_dim] = shape;
          SCOPED_TRACE(::testing::Message() << name_of(dtype) << " " << head_dim << "/" << rot_dim
                                            << " interleaved " << interleaved << " round " << round);
          const int64_t half = rot_dim / 2, x_stride = heads * head_dim + 24;
          const auto x = random_values(dtype, tokens * x_stride, 1);
          const auto cos = random_values(dtype, tokens * half, 2),
                     sin = random_values(dtype, tokens * half, 3);
          const RotaryScalars scalars{.heads = heads,
                                      .head_dim = head_dim,
                                      .rot_dim = rot_dim,
                                      .x_stride = x_stride,
                                      .y_stride = heads * head_dim,
                                      .interleaved = interleaved,
                                      .round_products = round};
          const Call call{.sizes = {.tokens = tokens, .seqs = 1},
                          .items = tokens * heads,
                          .storage = {to_bytes(dtype, x), to_bytes(DType::f32, cos),
                                      to_bytes(DType::f32, sin), poison(dtype, tokens * heads * head_dim)},
                          .scalars = Call::scalar_bytes(scalars)};
          const auto y = run_everywhere(pick(&VecTable::rotary, dtype), call)[3];
          std::vector<float> expected;
          const auto product = [&](float a, float b) {
            const float p = a * b;
            return round && dtype == DType::bf16 ? to_bf16_value(p) : p;
          };
          for (int64_t t = 0; t < tokens; ++t) {
            for (int64_t h = 0; h < heads; ++h) {
              const float* from = x.data() + t * x_stride + h * head_dim;
              std::vector<float> row(from, from + head_dim);
              for (int64_t i = 0; i < half; ++i) {
                const int64_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + half;
                const float c = cos[t * half + i], s = sin[t * half + i];
                row[a] = product(from[a], c) + product(-from[b], s);
                row[b] = product(from[b], c) + product(from[a], s);
              }
              expected.insert(expected.end(), row.begin(), row.end());
            }
          }
          EXPECT_TRUE(y == to_bytes(dtype, expected));

          Call in_place = call;
          RotaryScalars same = scalars;
          same.y_stride = x_stride;
          in_place.scalars = Call::scalar_bytes(same);
          in_place.pointers = {0, 1, 2, 0};
          run(pick(&VecTable::rotary, dtype)(vec_table_scalar()), in_place, 1);
          const auto turned = to_floats(dtype, in_place.storage[0]);
          const auto apart = to_floats(dtype, y);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t i = 0; i < heads * head_dim; ++i)
              ASSERT_EQ(turned[t * x_stride + i], apart[t * heads * head_dim + i]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace reprise::kernels::cpu::testing

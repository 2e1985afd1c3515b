// Which structs have padding, as the compiler sees them: every field kind that scalars of a launch use.
#include "core/no_padding.h"

#include <gtest/gtest.h>

#include "core/dtype.h"
#include "core/shape.h"

namespace reprise {
namespace {

enum class Small : uint8_t { a };
struct Behind {
  int64_t large;
  float small;
};
struct Before {
  uint8_t small;
  int64_t large;
};
struct Between {
  Dim rows;
  DType out = DType::f32;
  int32_t segments = 1;
  std::array<int64_t, 4> n{};
};
struct Named {
  Dim rows;
  DType out = DType::f32;
  Unused<3> unused{};
  int32_t segments = 1;
  std::array<int64_t, 4> n{};
};
struct Pointers {
  void (*run)(int);
  const float* data;
};
struct Nested {
  Named inner;
  double x;
};
struct NestedWithPadding {
  Behind inner;
  double x;
};
struct ManyFields {
  int64_t a, b, c, d, e, f, g, h, i, j;
  float x, y;
  bool p, q;
  Small r;
  Unused<5> unused{};
};

static_assert(kHasNoPadding<int> && kHasNoPadding<float> && kHasNoPadding<bool> && kHasNoPadding<Small>);
static_assert(kHasNoPadding<Dim> && kHasNoPadding<StepSizes> && kHasNoPadding<std::array<float, 3>>);
static_assert(!kHasNoPadding<long double>);
static_assert(!kHasNoPadding<Behind> && !kHasNoPadding<Before> && !kHasNoPadding<Between>);
static_assert(!kHasNoPadding<std::array<Behind, 2>> && !kHasNoPadding<NestedWithPadding>);
static_assert(kHasNoPadding<Named> && kHasNoPadding<Pointers> && kHasNoPadding<Nested> &&
              kHasNoPadding<ManyFields>);

TEST(NoPadding, NamedBytesAreZero) {
  alignas(Named) unsigned char raw[sizeof(Named)];
  for (unsigned char& byte : raw) byte = 0xff;
  const Named* named = new (raw) Named{.rows = kTokens};
  for (const uint8_t byte : named->unused) EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace reprise

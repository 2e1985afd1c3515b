#include "capture/compare.h"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

// What a step looks like whose launches depend on the data: on `length`.
struct Variant {
  int64_t items = 4;
  int64_t grain = 1;
  int64_t rows_per_block = 1;
  uint32_t salt = 1;
  int64_t word = 0;
  Shape shape{4};
  int launches = 2;
  std::string layer = "layers.1";
};

struct Compare : testing::Test {
  Step step{1};

  Recording capture(const Variant& variant) {
    return step.record([&] {
      step.update(step.block.at(0, {4}), 1);
      const LayerScope in_layer(variant.layer);
      const OpScope in_op("attention");
      for (int i = 1; i < variant.launches; ++i)
        step.stream.launch(kMixInto,
                           {.items = variant.items,
                            .grain = variant.grain,
                            .rows = kTokens,
                            .rows_per_block = variant.rows_per_block},
                           {updates(step.block.at(variant.word, variant.shape))},
                           MixScalars{.salt = variant.salt});
    });
  }
  void expect(const Variant& variant, std::string_view what) {
    const Recording usual = capture({}), other = capture(variant);
    const auto difference = first_difference(usual, other);
    ASSERT_TRUE(difference.has_value()) << what;
    EXPECT_EQ(difference->launch, variant.launches > 2 ? 2u : 1u);
    EXPECT_EQ(difference->op, "attention");
    EXPECT_EQ(difference->layer, "layers.1");
    EXPECT_EQ(difference->kernel, "mix_into");
    EXPECT_EQ(difference->what, what);
  }
};

TEST_F(Compare, EqualStepsAreEqual) {
  EXPECT_FALSE(first_difference(capture({}), capture({})).has_value());
}

TEST_F(Compare, WhatAnotherDeviceLaunchesBelongsToTheComparison) {
  const auto capture_of = [&](const Kernel& kernel, const Grid& grid) {
    return step.record([&] {
      step.stream.launch(kernel, {.items = 4, .grid = grid}, {updates(step.block.at(0, {4}))}, MixScalars{});
    });
  };
  Kernel kernel = kMixInto;
  const Recording usual = capture_of(kernel, {.x = kTokens, .threads = 128});
  EXPECT_FALSE(first_difference(usual, capture_of(kernel, {.x = kTokens, .threads = 128})).has_value());
  EXPECT_THAT(first_difference(usual, capture_of(kernel, {.x = kTokens, .threads = 256}))->what,
              testing::AllOf(testing::HasSubstr("dims: grid"), testing::HasSubstr("256 threads")));
  kernel.module_function = &kernel;
  EXPECT_THAT(first_difference(usual, capture_of(kernel, {.x = kTokens, .threads = 128}))->what,
              testing::HasSubstr("kernel"));
}

TEST_F(Compare, WhatDependsOnDataIsNamed) {
  expect({.items = 8}, "dims: items 4 and 8");
  expect({.grain = 2}, "dims: grain 1 and 2");
  expect({.rows_per_block = 8}, "dims: rows T by 1 and T by 8");
  expect({.salt = 9}, "scalars at byte 0");
  const uint64_t id = step.block.at(0, {4}).buffer->id;
  expect({.word = 16}, fmt::format("buffer 0: state#{0}+0 and state#{0}+64", id));
  expect({.shape = {3}}, "buffer 0: 16 and 12 bytes");
  expect({.launches = 3}, "count: 2 and 3 launches");
  expect({.launches = 1}, "count: 2 and 1 launches");
}

TEST_F(Compare, LayersAndKernelsBelongToTheComparison) {
  EXPECT_EQ(first_difference(capture({}), capture({.layer = "layers.2"}))->what,
            "layer: layers.1 and layers.2");
  const Recording one = step.record([&] { step.update(step.block.at(0, {4}), 1); });
  const Recording other = step.record([&] { step.mix_rows(step.block.at(0, {4}), {}, 1); });
  EXPECT_EQ(first_difference(one, other)->what, "kernel: mix_into and mix");
}

// The op behind it is only where the difference shows.
TEST_F(Compare, AnOpThatLaunchesMoreOftenIsToBlame) {
  const auto capture_times = [&](int times) {
    return step.record([&] {
      {
        const LayerScope layer("probe");
        const OpScope op("copies");
        for (int i = 0; i < times; ++i) step.update(step.block.at(0, {4}), 1);
      }
      const LayerScope layer("mlp");
      const OpScope op("norm");
      step.mix_rows(step.block.at(8, {4}), {}, 1);
    });
  };
  const Recording once = capture_times(1), thrice = capture_times(3);
  for (const auto& difference : {first_difference(once, thrice), first_difference(thrice, once)}) {
    ASSERT_TRUE(difference.has_value());
    EXPECT_EQ(difference->launch, 1u);
    EXPECT_EQ(difference->op, "copies");
    EXPECT_EQ(difference->layer, "probe");
    EXPECT_EQ(difference->what, "count: the op launches more often in one than in the other");
  }
}

}  // namespace
}  // namespace reprise::capture

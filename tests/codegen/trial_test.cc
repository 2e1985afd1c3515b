// Variants that are made up, so that it is known which of them is fastest.
#include "codegen/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "codegen/group_program.h"
#include "graph/text.h"
#include "loop/builder.h"
#include "tests/codegen/random_group.h"

namespace reprise::codegen {
namespace {

using Clock = std::chrono::steady_clock;

void spin(double ns_an_item, int64_t begin, int64_t end) {
  const auto until =
      Clock::now() + std::chrono::nanoseconds(static_cast<int64_t>(ns_an_item) * (end - begin));
  while (Clock::now() < until) {
  }
}
std::atomic<int64_t> most_items{0};
void fast(const KernelContext&, int64_t begin, int64_t end) {
  most_items = std::max(most_items.load(), end - begin);
}
// Of one item, too, far more than a launch takes, also under a sanitizer.
void slow(const KernelContext&, int64_t begin, int64_t end) {
  spin(5'000, begin, end);
}
void slower(const KernelContext&, int64_t begin, int64_t end) {
  spin(20'000, begin, end);
}

loop::Program program_of_columns(int64_t columns) {
  loop::Builder builder("f", columns);
  builder.write("y", DType::f32, sqrt(builder.read("x", DType::f32, loop::Place::row)));
  return builder.finish();
}

TEST(Variants, AreThoseWithCodeOfTheirOwn) {
  using testing::ElementsAre;
  EXPECT_THAT(variants_of(program_of_columns(3)), ElementsAre("chunks 1"));
  EXPECT_THAT(variants_of(program_of_columns(16)), ElementsAre("chunks 1"));
  EXPECT_THAT(variants_of(program_of_columns(47)), ElementsAre("chunks 1", "chunks 2"));
  EXPECT_THAT(variants_of(program_of_columns(64)), ElementsAre("chunks 1", "chunks 2", "chunks 4"));
  EXPECT_THAT(variants_of(program_of_columns(80)),
              ElementsAre("chunks 1", "chunks 2", "chunks 4", "chunks 8"));
  EXPECT_EQ(untimed_variant(program_of_columns(3)), "chunks 1");
  EXPECT_EQ(untimed_variant(program_of_columns(3072)), "chunks 4");
}

class TrialTest : public testing::Test {
 protected:
  std::optional<Verdict> run(std::vector<Trial::Variant> variants) {
    const Trial trial(graph_, group_, Isa::scalar);
    return trial.run(variants, stop_);
  }

  graph::Graph graph_ =
      graph::parse("graph g {\n  input %x : f32[T, 64]\n  %y = silu(%x) : f32[T, 64]\n  return y = %y\n}\n");
  graph::FusionGroup group_{.nodes = {0}, .inputs = {0}, .outputs = {1}};
  std::atomic<bool> stop_ = false;
};

TEST_F(TrialTest, FindsTheFastest) {
  most_items = 0;
  const std::optional<Verdict> verdict = run({{"slow", slow}, {"fast", fast}});
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->tokens, (std::vector<int64_t>{1, 16, 512}));
  EXPECT_EQ(verdict->best().name, "fast");
  EXPECT_FALSE(verdict->stays_in_parts());
  EXPECT_GT(most_items.load(), 1);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_GT(verdict->variants[0].us[i], verdict->variants[1].us[i]);
    EXPECT_GT(verdict->parts.us[i], verdict->variants[1].us[i]);
  }
  EXPECT_EQ(parse_verdict(print(*verdict)), *verdict);
}

TEST_F(TrialTest, FindsThatThePartsAreFaster) {
  const std::optional<Verdict> verdict = run({{"slower", slower}});
  ASSERT_TRUE(verdict);
  EXPECT_TRUE(verdict->stays_in_parts());
}

TEST_F(TrialTest, EndsWhenItIsTold) {
  stop_ = true;
  EXPECT_FALSE(run({{"fast", fast}}));
}

// Every random group can be timed, in bounded time.
TEST_F(TrialTest, TakesAnyGroup) {
  for (uint64_t seed = 2; seed < 32; ++seed) {
    loop::Choices choices(seed);
    RandomGroup random = random_group(choices);
    if (random.group.outputs.size() > ops::Outputs::kMax) continue;  // the pass makes none
    graph_ = std::move(random.graph);
    group_ = std::move(random.group);
    const Clock::time_point begin = Clock::now();
    const std::optional<Verdict> verdict = run({{"fast", fast}});
    ASSERT_TRUE(verdict) << seed;
    EXPECT_EQ(verdict->tokens.size(), 3u);
    RecordProperty(fmt::format("ms_{}", seed),
                   static_cast<int>((Clock::now() - begin) / std::chrono::milliseconds(1)));
  }
}

}  // namespace
}  // namespace reprise::codegen

// Variants that are made up, so that it is known which of them is fastest.
#include "codegen/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>

#include "codegen/group_program.h"
#include "device/cpu/isa_select.h"
#include "graph/text.h"
#include "loop/builder.h"
#include "loop/matmul.h"
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

// Of a team what one worker has to do, and what it costs to hand a launch over.
TEST_F(TrialTest, TimesTheShareOfAWorker) {
  for (const auto& [threads, items] : {std::pair{1, 512}, {2, 256}, {4, 128}}) {
    most_items = 0;
    const std::vector<Trial::Variant> variants = {{"fast", fast}};
    const std::optional<Verdict> verdict = Trial(graph_, group_, Isa::scalar, threads).run(variants, stop_);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(most_items.load(), items) << threads << " threads";
    if (threads > 1) {
      EXPECT_GE(verdict->variants[0].us[0], 0.15);
      EXPECT_GE(verdict->parts.us[0], 0.15);
    }
  }
  EXPECT_NE(timed_on(graph_, group_, 1), timed_on(graph_, group_, 2));
  EXPECT_EQ(timed_on(graph_, group_, 8), timed_on(graph_, group_, 64));
}

TEST_F(TrialTest, EndsWhenItIsTold) {
  stop_ = true;
  EXPECT_FALSE(run({{"fast", fast}}));
}

// Weights that the group reads are other ones from run to run, as many as the whole graph has; all other inputs stay.
std::atomic<int64_t> calls{0};
std::set<const void*> weights_seen, rows_seen;
void notes_weights(const KernelContext& context, int64_t, int64_t) {
  const loop::MatmulTask& task = context.get_scalars<loop::MatmulTask>();
  if (task.part != loop::MatmulTask::kProduct) return;
  ++calls;
  if (task.rows > 16) return;
  rows_seen.insert(context.buffer<float>(0));
  weights_seen.insert(context.buffer<float>(1));
}

TEST_F(TrialTest, ReadsWeightsFromAsFarAwayAsInTheModel) {
  if (cpu::available_isas().back() == Isa::scalar) GTEST_SKIP() << "no level that code is made for";
  graph_ = graph::parse(
      "graph g {\n  input %x : f32[T, 64]\n  weight %w : f32 panels[64, 64]\n  weight %v : f32 panels[64, 448]\n"
      "  %y = matmul(%x, %w, _) {out = f32} : f32[T, 64]\n  %z = matmul(%x, %w, _) {out = f32} : f32[T, 64]\n"
      "  return y = %y\n  return z = %z\n}\n");
  const auto node = [&](size_t i) { return graph_.nodes[i]; };
  group_ = {.nodes = {0}, .inputs = {node(0).inputs[0], node(0).inputs[1]}, .outputs = node(0).outputs};
  weights_seen.clear();
  rows_seen.clear();
  calls = 0;
  const Trial trial(graph_, group_, Isa::avx2);
  const std::vector<Trial::Variant> variants = {{"notes", notes_weights}};
  ASSERT_TRUE(trial.run(variants, stop_));
  RecordProperty("calls", static_cast<int>(calls));
  EXPECT_EQ(rows_seen.size(), 1u);
  // 16 KiB of about 128 KiB; on a machine that had no time for so many calls not all of them.
  EXPECT_LE(weights_seen.size(), 8u);
  EXPECT_GE(weights_seen.size(), calls > 200 ? 8u : 2u);
}

// Every random group that fits a node can be timed, in bounded time.
TEST_F(TrialTest, TakesAnyGroup) {
  for (uint64_t seed = 2; seed < 32; ++seed) {
    loop::Choices choices(seed);
    RandomGroup random = random_group(choices);
    if (random.group.outputs.size() > static_cast<size_t>(ops::Outputs::kMax))
      continue;  // no node of a graph
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

// The check of a replay's order finds every dependency that a seeded fault takes away, and nothing otherwise.
#include "capture/missing_waits.h"

#include <gmock/gmock.h>

#include "core/fault.h"
#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

constexpr StepSizes kLargest{.tokens = 8, .seqs = 4};

struct MissingWaits : testing::Test {
  Step step{1};
  Tensor a = step.block.at(0, {kTokens, 4}), b = step.block.at(100, {kTokens, 4}),
         c = step.block.at(200, {kTokens, 4});

  template <typename Body>
  std::optional<MissingWait> find(Body&& body) {
    return first_missing_wait(cpu::TeamReplay(step.record(body), kLargest, cpu_stream(step.stream)),
                              kLargest);
  }
};

TEST_F(MissingWaits, AReaderOfWhatWasWritten) {
  const auto body = [&] { step.mix_rows(a, {}, 1), step.mix_rows(b, {}, 2), step.mix_rows(c, {b, a}, 3); };
  EXPECT_FALSE(find(body).has_value());
  const FaultScope fault(Fault::replay_skips_waits_of_node, 2);
  const auto missing = find(body);
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(missing->earlier, 0u);
  EXPECT_EQ(missing->later, 2u);
  EXPECT_EQ(missing->buffer, 2u);  // out, b, a
}

TEST_F(MissingWaits, AWriterOfWhatWasRead) {
  const auto body = [&] { step.mix_rows(b, {a}, 1), step.mix_rows(c, {}, 2), step.mix_rows(a, {c}, 3); };
  EXPECT_FALSE(find(body).has_value());
  const FaultScope fault(Fault::dependencies_ignore_write_after_read);
  const auto missing = find(body);
  ASSERT_TRUE(missing.has_value());
  EXPECT_EQ(missing->earlier, 0u);
  EXPECT_EQ(missing->later, 2u);
}

TEST_F(MissingWaits, AWriterOfWhatWasWritten) {
  const auto body = [&] { step.mix_rows(a, {c}, 1), step.mix_rows(a, {}, 2); };
  EXPECT_FALSE(find(body).has_value());
  const FaultScope fault(Fault::dependencies_ignore_write_after_write);
  EXPECT_TRUE(find(body).has_value());
}

// b waits for a and c for b, so c need not say that it waits for a.
TEST_F(MissingWaits, OneThatIsImpliedIsNotMissing) {
  EXPECT_FALSE(
      find([&] {
        step.mix_rows(a, {}, 1), step.mix_rows(b, {a}, 2), step.mix_rows(c, {a, b}, 3), step.update(a, 4);
      }).has_value());
}

}  // namespace
}  // namespace reprise::capture

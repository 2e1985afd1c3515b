#include "capture/dependencies.h"

#include <gmock/gmock.h>

#include "core/fault.h"
#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr StepSizes kLargest{.tokens = 8, .seqs = 4};

struct Dependencies : testing::Test {
  Step step{1};
  Tensor a = step.block.at(0, {kTokens, 4});  // 32 words at the largest
  Tensor b = step.block.at(100, {kTokens, 4});
  Tensor c = step.block.at(200, {kTokens, 4});

  template <typename Body>
  std::vector<std::vector<int32_t>> of(Body&& body) {
    return dependencies_of(step.record(body), kLargest);
  }
};

TEST_F(Dependencies, AReaderWaitsForTheLastWriter) {
  const auto waits = of([&] {
    step.mix_rows(a, {}, 1);
    step.mix_rows(b, {a}, 2);
    step.mix_rows(c, {a}, 3);
  });
  EXPECT_THAT(waits, ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(0)));
}

TEST_F(Dependencies, AWriterWaitsForTheReadersSince) {
  const auto body = [&] {
    step.mix_rows(a, {}, 1);
    step.mix_rows(b, {a}, 2);
    step.mix_rows(c, {a}, 3);
    step.mix_rows(a, {}, 4);
  };
  EXPECT_THAT(of(body), ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(0), ElementsAre(1, 2)));
  const FaultScope fault(Fault::dependencies_ignore_write_after_read);
  EXPECT_THAT(of(body)[3], ElementsAre(0));
}

TEST_F(Dependencies, AWriterWaitsForTheWriterBefore) {
  const auto body = [&] {
    step.mix_rows(a, {}, 1);
    step.mix_rows(a, {}, 2);
    step.mix_rows(b, {a}, 3);
  };
  EXPECT_THAT(of(body), ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(1)));
  const FaultScope fault(Fault::dependencies_ignore_write_after_write);
  EXPECT_THAT(of(body)[1], IsEmpty());
}

TEST_F(Dependencies, UpdatesAreInOrder) {
  EXPECT_THAT(of([&] { step.update(a, 1), step.update(a, 2), step.update(a, 3); }),
              ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(1)));
}

TEST_F(Dependencies, OnlyBytesThatOverlapCount) {
  const Tensor behind = step.block.at(32, {4}), last_row = step.block.at(31, {1});
  EXPECT_THAT(of([&] { step.mix_rows(a, {}, 1), step.mix_rows(b, {behind}, 2); })[1], IsEmpty());
  EXPECT_THAT(of([&] { step.mix_rows(a, {}, 1), step.mix_rows(b, {last_row}, 2); })[1], ElementsAre(0));
  // A write in the middle of what another wrote: who reads the whole waits for both.
  const Tensor middle = step.block.at(10, {4});
  EXPECT_THAT(of([&] { step.mix_rows(a, {}, 1), step.mix_rows(middle, {c}, 2), step.mix_rows(b, {a}, 3); }),
              ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(1)));
  EXPECT_THAT(of([&] {
                step.mix_rows(step.block.at(0, {4}), {}, 1);
                step.mix_rows(step.block.at(4, {4}), {}, 2);
                step.mix_rows(b, {step.block.at(0, {8})}, 3);
              })[2],
              ElementsAre(0, 1));
}

TEST_F(Dependencies, WhatIsOnlyReadOrdersNobody) {
  EXPECT_THAT(of([&] { step.mix_rows(a, {c}, 1), step.mix_rows(b, {c}, 2); }),
              ElementsAre(IsEmpty(), IsEmpty()));
}

TEST_F(Dependencies, NoneIsImpliedByAnother) {
  const auto waits = of([&] {
    step.mix_rows(a, {}, 1);
    step.mix_rows(b, {a}, 2);
    step.mix_rows(c, {a, b}, 3);
    step.update(a, 4);
  });
  EXPECT_THAT(waits, ElementsAre(IsEmpty(), ElementsAre(0), ElementsAre(1), ElementsAre(2)));
}

TEST_F(Dependencies, ADryArenaIsTakenByItsOffsets) {
  StepArena arena(kDry);
  arena.set_sizing(kLargest);
  const auto waits = of([&] {
    Tensor first = arena.allocate(DType::f32, {kTokens, 4});
    const Tensor second = arena.allocate(DType::f32, {kTokens, 4});
    step.mix_rows(first, {}, 1);
    step.mix_rows(second, {}, 2);
    step.mix_rows(c, {first}, 3);
    first = Tensor{};
    const Tensor third = arena.allocate(DType::f32, {kTokens, 4});  // where the first was
    step.mix_rows(third, {}, 4);
  });
  EXPECT_THAT(waits, ElementsAre(IsEmpty(), IsEmpty(), ElementsAre(0), ElementsAre(2)));
}

TEST_F(Dependencies, AbsentAndEmptyArgumentsOrderNobody) {
  EXPECT_THAT(of([&] {
                step.mix_rows(a, {}, 1);
                step.mix_rows(b, {Tensor{}}, 2);
                step.mix_rows(c, {step.block.at(0, {0})}, 3);
              }),
              ElementsAre(IsEmpty(), IsEmpty(), IsEmpty()));
}

}  // namespace
}  // namespace reprise::capture

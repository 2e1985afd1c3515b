// A replay and the check before it allocate nothing on the heap: counted by replacing operator new in this
// test program.
#include <gtest/gtest.h>

#include "capture/binding.h"
#include "tests/capture/steps.h"
#include "tests/count_new.h"

namespace reprise::cpu {
namespace {

using namespace capture;

TEST(Allocation, AReplayAllocatesNothing) {
  Step step(2);
  const Tensor ids = step.block.at(0, {kTokens}), out = step.block.at(64, {kTokens, 16});
  Recording recording = step.record([&] {
    for (uint32_t i = 0; i < 20; ++i) step.mix_rows(out, {ids}, i), step.update(ids, i);
  });
  const StepSizes largest{.tokens = 8, .seqs = 8};
  const std::vector<NamedInput> inputs{{"token_ids", ids}};
  const std::vector<const Recording*> parts{&recording};
  const Binding binding({.smallest = {1, 1}, .largest = largest}, inputs, parts);
  TeamReplay replay(std::move(recording), largest, cpu_stream(step.stream));
  const std::vector<const Tensor*> now{&ids};
  const int64_t before = allocations();
  for (int64_t tokens = 1; tokens <= 8; ++tokens)
    for (const Sharing sharing : {Sharing(0), Sharing(1), Sharing(0, true)}) {
      const StepSizes sizes{.tokens = tokens, .seqs = 1};
      binding.check(sizes, now);
      replay.run_on(sizes, sharing);
    }
  EXPECT_EQ(allocations(), before);
  // A traced one allocates its notes once.
  replay.run_on(largest, 0, true);
  const int64_t traced = allocations();
  for (const int workers : {0, 1, 2})
    for (const bool fixed : {false, true}) replay.run_on(largest, Sharing(workers, fixed), true);
  EXPECT_EQ(allocations(), traced);
}

}  // namespace
}  // namespace reprise::cpu

// A steady step allocates nothing on the heap.
#include <gtest/gtest.h>

#include "tests/count_new.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

TEST(Allocation, ASteadyStepAllocatesNothing) {
  EngineConfig config = small_engine_config();
  ThreadTeam team(2);
  Engine engine(small_model(team), team, Isa::scalar, config, [](const OutputEvent&) {});
  for (uint32_t i = 0; i < 6; ++i) {
    SamplingParams params{.temperature = i < 2 ? 0.0f : 1.0f, .seed = i, .max_tokens = 100};
    if (i == 3) params.top_k = 40;
    if (i == 4) params.top_p = 0.9f;
    if (i == 5) params.min_p = 0.1f;
    engine.submit({small_prompt(10 + i, i), params});
  }
  for (int i = 0; i < 10; ++i) engine.step();  // prompts, and storage that grows once
  const int64_t before = allocations();
  for (int i = 0; i < 60; ++i) engine.step();  // crosses block edges
  EXPECT_EQ(allocations() - before, 0);
  engine.submit({small_prompt(3), {}});
  EXPECT_GT(allocations(), before) << "the count works";
}

}  // namespace
}  // namespace reprise::engine

// A steady step allocates nothing on the heap, whichever way steps run.
#include <gtest/gtest.h>

#include "engine/replay/graph_backend.h"
#include "tests/count_new.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

class Allocation : public testing::TestWithParam<Way> {};

TEST_P(Allocation, ASteadyStepAllocatesNothing) {
  EngineConfig config = small_engine_config();
  config.graph = GetParam().graph;
  config.graph.capture_before_ready = true;
  ThreadTeam team(2);
  TestDevice device(team, Isa::scalar);
  Engine engine(small_model(team, device), EngineServices(device), config, [](const OutputEvent&) {});
  for (uint32_t i = 0; i < 6; ++i) {
    SamplingParams params{.temperature = i < 2 ? 0.0f : 1.0f, .seed = i, .max_tokens = 100};
    if (i == 3) params.top_k = 40;
    if (i == 4) params.top_p = 0.9f;
    if (i == 5) params.min_p = 0.1f;
    engine.submit({small_prompt(10 + i, i), params});
  }
  for (int i = 0; i < 10; ++i) engine.step();  // prompts, and storage that grows once
  const StepCounts counts_before = engine.stats().steps;
  const int64_t before = allocations();
  for (int i = 0; i < 60; ++i) engine.step();  // crosses block edges
  EXPECT_EQ(allocations() - before, 0);
  const StepCounts counts = engine.stats().steps;
  EXPECT_EQ(counts.total() - counts_before.total(), 60);
  EXPECT_EQ(counts.replayed - counts_before.replayed, GetParam().decode_is_replayed ? 60 : 0);
  engine.submit({small_prompt(3), {}});
  EXPECT_GT(allocations(), before) << "the count works";
}

// Not level 2: the ops that the tests' compiler makes allocate.
std::vector<Way> ways_without_compiler() {
  std::vector<Way> ways = ways_to_run();
  std::erase_if(ways, [](const Way& way) { return way.graph.graph_opt_level == 2; });
  return ways;
}

INSTANTIATE_TEST_SUITE_P(Ways, Allocation, testing::ValuesIn(ways_without_compiler()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace reprise::engine

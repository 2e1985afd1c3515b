// Many requests at once: what the engine does for one of 20,000 that wait costs what it does for one of ten.
// Times are processor time of this thread; the engine has a team of one, so all of its work is here.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <random>

#include "device/cpu/isa_select.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

#if defined(REPRISE_SANITIZED) || !defined(NDEBUG)
constexpr double kSlower = 15;  // a build with checks runs so many times longer
#else
constexpr double kSlower = 1;
#endif

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

constexpr int kMany = 20000;

struct Crowd {
  explicit Crowd(const EngineConfig& config = small_engine_config())
      : engine(small_model(team, device), EngineServices(device), config, [this](const OutputEvent& event) {
          last_events += event.finished();
          aborted += event.finish_reason == FinishReason::abort;
        }) {}

  ThreadTeam team{1};
  TestDevice device{team, cpu::available_isas().back()};
  int64_t last_events = 0, aborted = 0;
  Engine engine;

  std::vector<RequestId> submit(int count, int32_t max_tokens) {
    std::vector<RequestId> ids;
    for (int i = 0; i < count; ++i)
      ids.push_back(engine.submit({{1, 2, 3}, {.temperature = 0, .max_tokens = max_tokens}}));
    return ids;
  }
};

// In the order of arrival, in the reverse one, and in none: each took 1 s or more when every abort walked the
// queue.
TEST(Load, AnAbortStorm) {
  for (const int order : {0, 1, 2}) {
    Crowd crowd;
    std::vector<RequestId> ids = crowd.submit(kMany, 100);
    crowd.engine.step();  // all are accepted, the first are running
    if (order == 1) std::reverse(ids.begin(), ids.end());
    if (order == 2) std::shuffle(ids.begin(), ids.end(), std::mt19937(7));
    const double before = cpu_seconds();
    for (RequestId id : ids) crowd.engine.abort(id);
    crowd.engine.step();
    EXPECT_LT(cpu_seconds() - before, 0.1 * kSlower) << "order " << order;
    EXPECT_EQ(crowd.aborted, kMany);
    EXPECT_TRUE(crowd.engine.idle());
    EXPECT_EQ(crowd.engine.stats().free_blocks, crowd.engine.memory().num_kv_blocks);
  }
}

TEST(Load, AllOfManyAreServed) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = 128;
  Crowd crowd(config);
  crowd.submit(10000, 1);
  crowd.engine.run();
  EXPECT_EQ(crowd.last_events, 10000);
  EXPECT_EQ(crowd.aborted, 0);
}

}  // namespace
}  // namespace reprise::engine

// The queue in front of the engine: who goes first, and what it costs to wait in it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "tests/engine/threaded_engine.h"

namespace reprise::engine {
namespace {

Request request_of(uint32_t number, int32_t priority, int32_t tokens = 40) {
  return {.prompt_token_ids = small_prompt(10 + number % 7, number),
          .sampling = {.temperature = 1, .seed = number, .ignore_eos = true, .max_tokens = tokens},
          .priority = priority};
}

// In which order requests of these priorities end, one at a time.
std::vector<RequestId> order_of(const std::vector<int32_t>& priorities) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = 1;
  SmallEngine small(config);
  std::vector<RequestId> ended;
  small.on_event = [&](const OutputEvent& event) {
    if (event.finished()) ended.push_back(event.request);
  };
  for (uint32_t i = 0; i < priorities.size(); ++i) small.engine.submit(request_of(i, priorities[i], 3));
  small.engine.run();
  return ended;
}

TEST(Priority, TheMostUrgentGoFirstAndEqualOnesByArrival) {
  EXPECT_THAT(order_of({0, 0, 0, 0}), testing::ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(order_of({5, 0, -1, 5, INT32_MAX, INT32_MIN, 0}), testing::ElementsAre(5, 2, 1, 6, 0, 3, 4));
}

// With few blocks, so that they preempt each other all the time.
TEST(Priority, ChangesNoBitsAndTheLeastUrgentArePreempted) {
  constexpr uint32_t kRequests = 12;
  EngineConfig tight = small_engine_config();
  tight.num_gpu_blocks_override = 16;
  SmallEngine alone, together(tight);
  std::vector<int32_t> priorities;
  for (uint32_t i = 0; i < kRequests; ++i) {
    priorities.push_back(static_cast<int32_t>(i * 5 % 4));
    alone.engine.submit(request_of(i, 0));
    together.engine.submit(request_of(i, priorities.back()));
  }
  alone.engine.run();
  together.engine.run();
  int64_t of_urgent = 0, of_others = 0;
  for (uint32_t i = 0; i < kRequests; ++i) {
    EXPECT_EQ((together.results[{i, 0}].token_ids), (alone.results[{i, 0}].token_ids)) << i;
    (priorities[i] == 0 ? of_urgent : of_others) += together.results[{i, 0}].metrics.preemptions;
  }
  EXPECT_EQ(of_urgent, 0);
  EXPECT_GT(of_others, 0) << "or nothing was tight";
}

struct Waiting {
  explicit Waiting(int64_t max_num_seqs = 1) : small(config_for(max_num_seqs)) {
    small.engine.set_max_waiting(std::chrono::milliseconds(0));
  }
  static EngineConfig config_for(int64_t max_num_seqs) {
    EngineConfig config = small_engine_config();
    config.max_num_seqs = max_num_seqs;
    return config;
  }
  SmallEngine small;
};

TEST(MaxWaiting, WhoHasNoPlaceByThenEndsAndTheOthersGoOn) {
  Waiting waiting;
  SmallEngine& small = waiting.small;
  Request patient = request_of(2, 0);
  patient.waits_for_ever = true;
  small.run({request_of(0, 0), request_of(1, 0), patient});
  EXPECT_EQ((small.results[{0, 0}].finish_reason), FinishReason::length);
  const Collected& ended = small.results[{1, 0}];
  EXPECT_EQ(ended.finish_reason, FinishReason::error);
  EXPECT_THAT(ended.error, testing::StartsWith("[queue] the request waited 0 s"));
  EXPECT_EQ((small.results[{2, 0}].token_ids.size()), 40u);
  EXPECT_TRUE(small.engine.idle());
}

TEST(MaxWaiting, ARequestThatBeganMayWaitForItsOtherOutputsAndAfterPreemption) {
  Waiting waiting;
  Request request = request_of(0, 0, 5);
  request.sampling.n = 3;
  waiting.small.run({request});
  for (int32_t output = 0; output < 3; ++output)
    EXPECT_EQ((waiting.small.results[{0, output}].finish_reason), FinishReason::length);
  Waiting preempted(8);
  for (uint32_t i = 0; i < 4; ++i) preempted.small.engine.submit(request_of(i, 0));
  preempted.small.engine.step();
  preempted.small.engine.release_memory();
  preempted.small.engine.run();
  for (uint32_t i = 0; i < 4; ++i)
    EXPECT_EQ((preempted.small.results[{i, 0}].finish_reason), FinishReason::length);
}

TEST(MaxWaiting, EndsAlsoWhileNothingSteps) {
  Threaded threaded;
  EngineThread& thread = threaded.thread;
  constexpr std::chrono::milliseconds kTime(40);
  thread.call([&](Engine& engine) { engine.set_max_waiting(kTime); });
  thread.pause();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(threaded.run(request_of(0, 0)).error, testing::StartsWith("[queue]"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, kTime);
  thread.resume();
  EXPECT_EQ(threaded.run(request_of(0, 0)).finish_reason, FinishReason::length);
}

// Seconds of the fastest of some steps while `waiting` requests of many priorities wait.
double step_time(size_t waiting) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = 2;
  config.max_model_len = 512;
  SmallEngine small(config);
  for (uint32_t i = 0; i < 2; ++i) small.engine.submit(request_of(i, -1000, 400));
  for (uint32_t i = 0; i < waiting; ++i)
    small.engine.submit(request_of(i, static_cast<int32_t>(i * 7919 % 1000)));
  for (int i = 0; i < 20; ++i) small.engine.step();
  EXPECT_EQ(small.engine.stats().waiting, static_cast<int64_t>(waiting));
  double fastest = 1e9;
  for (int i = 0; i < 300; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    small.engine.step();
    fastest =
        std::min(fastest, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return fastest;
}

TEST(Queue, AStepCostsTheSameHoweverManyWait) {
  double none = 1e9, many = 1e9;
  for (int round = 0; round < 3; ++round) {
    none = std::min(none, step_time(0));
    many = std::min(many, step_time(10'000));
  }
  RecordProperty("step_us_without_queue", std::to_string(1e6 * none));
  RecordProperty("step_us_with_10000_waiting", std::to_string(1e6 * many));
  EXPECT_LT(many, 1.2 * none + 2e-6) << "looking at each of them once would take more";
}

}  // namespace
}  // namespace reprise::engine

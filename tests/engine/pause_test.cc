// An engine that is held up (paused, asleep) loses nothing and computes nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/engine/threaded_engine.h"

namespace reprise::engine {
namespace {

constexpr std::chrono::milliseconds kWhile(30);  // many steps of the small model

std::vector<Request> some_requests() {
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 4; ++i)
    requests.push_back({small_prompt(5 + 30 * i, i),
                        {.temperature = 1, .seed = i, .ignore_eos = true, .max_tokens = 100, .logprobs = 2}});
  return requests;
}

// Requests under way, whose outputs are collected.
struct UnderWay {
  explicit UnderWay(EngineThread& thread) : outputs(some_requests().size()) {
    std::vector<Request> requests = some_requests();
    for (size_t i = 0; i < requests.size(); ++i)
      thread.submit(std::move(requests[i]), [this, i](const OutputEvent& event) {
        outputs[i].take(event);
        ++events;
        if (event.finished()) ++finished;
      });
  }
  void wait() const {
    while (finished < outputs.size()) std::this_thread::yield();
  }
  std::vector<Collected> outputs;
  std::atomic<size_t> events{0}, finished{0};
};

void expect_undisturbed(const UnderWay& run) {
  SmallEngine alone;
  Results& expected = alone.run(some_requests());
  for (size_t i = 0; i < run.outputs.size(); ++i) {
    const Collected &got = run.outputs[i], &want = expected[{i, 0}];
    EXPECT_EQ(got.token_ids, want.token_ids);
    EXPECT_EQ(got.finish_reason, FinishReason::length);
    ASSERT_EQ(got.scores.size(), want.scores.size());
    for (size_t k = 0; k < want.scores.size(); ++k)
      EXPECT_EQ(got.scores[k].logprob, want.scores[k].logprob) << "output " << i << " token " << k;
  }
}

// Its steps so far, once none is in progress.
int64_t steps_of(EngineThread& thread) {
  int64_t steps = 0;
  thread.call([&](Engine& engine) { steps = engine.stats().steps.total(); });
  return steps;
}

TEST(Pause, NothingStepsAndWhatRanGoesOnWithTheSameBits) {
  Threaded threaded;
  EngineThread& thread = threaded.thread;
  UnderWay run(thread);
  for (size_t round = 1; round < 6; ++round) {
    while (run.events < 40 * round) std::this_thread::yield();
    thread.pause();
    const int64_t steps = steps_of(thread);
    std::this_thread::sleep_for(kWhile);
    EXPECT_EQ(steps_of(thread), steps);
    EngineState state = thread.state();
    EXPECT_TRUE(state.paused);
    EXPECT_GT(state.stats.running, 0);
    // The call above may be ending still; what stays would look like a step that hangs.
    while (state.step_began.has_value()) state = thread.state();
    thread.resume();
    thread.resume();
  }
  run.wait();
  EXPECT_FALSE(thread.state().paused);
  expect_undisturbed(run);
}

TEST(Pause, RequestsAreTakenAndEndWhenTheyAreToldTo) {
  Threaded threaded;
  EngineThread& thread = threaded.thread;
  std::atomic<int> tokens{0};
  std::promise<FinishReason> running_ended, waiting_ended, refused;
  const auto end_of = [&](std::promise<FinishReason>& end) {
    return [&](const OutputEvent& event) {
      tokens += static_cast<int>(event.token_ids.size());
      if (event.finished()) end.set_value(event.finish_reason);
    };
  };
  const SamplingParams endless{.temperature = 0, .ignore_eos = true};
  const RequestId running = thread.submit({small_prompt(3), endless}, end_of(running_ended));
  while (tokens == 0) std::this_thread::yield();
  thread.pause();
  thread.call([](Engine&) {});
  const int before = tokens;
  const RequestId waiting = thread.submit({small_prompt(3), endless}, end_of(waiting_ended));
  thread.submit({{}, {}}, end_of(refused));
  EXPECT_EQ(refused.get_future().get(), FinishReason::error) << "what can't run is told at once";
  thread.abort(waiting);
  EXPECT_EQ(waiting_ended.get_future().get(), FinishReason::abort);
  thread.finish(running, 0, FinishReason::stop, 1);
  EXPECT_EQ(running_ended.get_future().get(), FinishReason::stop);
  EXPECT_EQ(tokens, before);
  while (thread.state().open_requests > 0) std::this_thread::yield();
  EXPECT_EQ(thread.state().stats.running + thread.state().stats.waiting, 0);
}

TEST(Pause, StopEndsWhatIsPaused) {
  std::atomic<int> ended{0};
  for (const bool asleep : {false, true}) {
    Threaded threaded;
    for (int i = 0; i < 20; ++i)
      threaded.thread.submit({small_prompt(30), {.temperature = 0, .ignore_eos = true}},
                             [&](const OutputEvent& event) { ended += event.finished(); });
    asleep ? threaded.thread.sleep() : threaded.thread.pause();
    threaded.thread.stop();
    EXPECT_FALSE(threaded.thread.state().held_up());
  }
  EXPECT_EQ(ended, 40);
}

TEST(Sleep, HoldsNoMemoryOfRequestsAndTheyGoOnWithTheSameBits) {
  Threaded threaded;
  EngineThread& thread = threaded.thread;
  UnderWay run(thread);
  for (size_t round = 1; round < 6; ++round) {
    while (run.events < 40 * round) std::this_thread::yield();
    thread.sleep();
    EngineStats stats;
    int64_t blocks = 0;
    thread.call([&](Engine& engine) {
      stats = engine.stats();
      blocks = engine.memory().num_kv_blocks;
    });
    EXPECT_EQ(stats.free_blocks, blocks);
    EXPECT_EQ(stats.running, 0);
    EXPECT_GT(stats.waiting, 0);
    thread.wake();
  }
  run.wait();
  expect_undisturbed(run);
  EXPECT_GT(run.outputs[0].metrics.preemptions, 0);
}

TEST(Sleep, AndPauseAreOverWhenBothAre) {
  Threaded threaded;
  EngineThread& thread = threaded.thread;
  const auto stays = [&] {
    const int64_t steps = steps_of(thread);
    std::this_thread::sleep_for(kWhile);
    return steps_of(thread) == steps;
  };
  thread.pause();
  thread.sleep();
  UnderWay run(thread);
  EXPECT_TRUE(stays());
  thread.resume();
  EXPECT_TRUE(stays());
  EXPECT_TRUE(thread.state().asleep);
  thread.pause();
  thread.wake();
  EXPECT_TRUE(stays());
  thread.resume();
  run.wait();
  expect_undisturbed(run);
}

TEST(Sleep, IsNotForSinks) {
  SmallEngine small;
  std::string said;
  small.on_event = [&](const OutputEvent&) {
    try {
      small.engine.release_memory();
    } catch (const Error& error) {
      said = error.what();
    }
  };
  small.run({{small_prompt(3), {.max_tokens = 1}}});
  EXPECT_THAT(said, testing::HasSubstr("within an event sink"));
}

}  // namespace
}  // namespace reprise::engine

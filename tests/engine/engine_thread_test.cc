// The engine on its own thread, used from many: run under TSan by tools of the house.
#include "engine/engine_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <thread>

#include "core/error.h"
#include "tests/count_new.h"
#include "tests/engine/threaded_engine.h"

namespace reprise::engine {
namespace {

SamplingParams seeded(uint64_t seed) {
  return {.temperature = 1, .seed = seed, .max_tokens = 10};
}

TEST(EngineThread, ManyCallersGetTheirOwnResults) {
  std::vector<std::vector<int32_t>> expected;
  for (uint32_t i = 0; i < 6; ++i)
    expected.push_back(SmallEngine().run({{small_prompt(5 + i, i), seeded(i)}})[{0, 0}].token_ids);
  Threaded threaded;
  std::vector<std::thread> callers;
  std::vector<std::vector<int32_t>> got(6);
  for (uint32_t i = 0; i < 6; ++i)
    callers.emplace_back([&, i] {
      for (int round = 0; round < 3; ++round) {
        got[i] = threaded.run({small_prompt(5 + i, i), seeded(i)}).token_ids;
        threaded.thread.state();
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(got, expected) << "whoever else is served, the same seed gives the same tokens";
}

TEST(EngineThread, BadRequestsAndAbortsAreAnswered) {
  Threaded threaded;
  EXPECT_THAT(threaded.run({{}, seeded(1)}).error, testing::HasSubstr("no tokens"));
  std::promise<FinishReason> done;
  std::promise<void> begun;
  bool first = true;
  const RequestId id =
      threaded.thread.submit({small_prompt(3), {.temperature = 0}}, [&](const OutputEvent& event) {
        if (std::exchange(first, false)) begun.set_value();
        if (event.finished()) done.set_value(event.finish_reason);
      });
  begun.get_future().wait();
  threaded.thread.abort(id);
  const FinishReason reason = done.get_future().get();
  EXPECT_TRUE(reason == FinishReason::abort || reason == FinishReason::length);
  threaded.thread.finish(id, 0, FinishReason::stop, 1);
  EXPECT_EQ(threaded.run({small_prompt(4), seeded(2)}).token_ids.size(), 10u);
}

TEST(EngineThread, EndsWithEveryRequestAnswered) {
  std::atomic<int> finished{0};
  {
    Threaded threaded;
    for (uint32_t i = 0; i < 20; ++i) {
      Request request{small_prompt(30, i), {.temperature = 0}};
      request.sampling.n = 2;
      threaded.thread.submit(std::move(request),
                             [&](const OutputEvent& event) { finished += event.finished(); });
    }
  }
  EXPECT_EQ(finished, 40);
}

TEST(EngineThread, TheEndOfAStepIsToldOnce) {
  constexpr int kRequests = 6;
  Gate gate;
  std::atomic<int> finished{0};
  int in_step = 0;
  std::vector<int> steps;  // events of each
  std::promise<void> all_done;
  Threaded threaded({.on_step_end = [&] {
    steps.push_back(std::exchange(in_step, 0));
    if (finished == kRequests + 1) all_done.set_value();
  }});
  // While the engine waits here, the others are queued, so that they run side by side.
  threaded.thread.submit({small_prompt(3), {.temperature = 0, .max_tokens = 1}},
                         [&](const OutputEvent& event) {
                           gate.pass();
                           ++in_step;
                           finished += event.finished();
                         });
  gate.hold();
  for (uint32_t i = 0; i < kRequests; ++i)
    threaded.thread.submit({small_prompt(4, i), {.temperature = 0, .ignore_eos = true, .max_tokens = 5}},
                           [&](const OutputEvent& event) {
                             ++in_step;
                             finished += event.finished();
                           });
  gate.open();
  all_done.get_future().wait();
  EXPECT_THAT(steps, testing::ElementsAre(1, 6, 6, 6, 6, 6)) << "events of each step, handed over at once";
}

TEST(EngineThread, TheEndOfAStepIsToldAgainWhereThatFailed) {
  std::atomic<int> calls{0};
  std::promise<void> told;
  Threaded threaded({.on_step_end = [&] {
    if (++calls < 3) throw std::bad_alloc();
    told.set_value();
  }});
  threaded.thread.submit({small_prompt(3), {.temperature = 0, .max_tokens = 1}}, [](const OutputEvent&) {});
  EXPECT_EQ(told.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
}

TEST(EngineThread, SoManyRequestsAreTakenAndNoMore) {
  Gate gate;
  Threaded threaded({.max_open_requests = 3});
  std::atomic<int> finished{0};
  const auto count = [&](const OutputEvent& event) { finished += event.finished(); };
  bool first = true;
  threaded.thread.submit({small_prompt(3), {.temperature = 0, .max_tokens = 3}},
                         [&](const OutputEvent& event) {
                           if (std::exchange(first, false)) gate.pass();
                           count(event);
                         });
  gate.hold();
  threaded.thread.submit({small_prompt(3), {.max_tokens = 2, .n = 2}}, count);
  threaded.thread.submit({{}, {}}, count);  // will be refused
  const EngineState full = threaded.thread.state();
  EXPECT_EQ(full.open_requests, 3u);
  EXPECT_EQ(full.queued_requests, 2u);
  EXPECT_TRUE(full.step_began.has_value()) << "the state is there while a step is in progress";
  std::string said;
  try {
    threaded.thread.submit({small_prompt(3), {}}, count);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::queue_full);
    said = error.what();
  }
  EXPECT_THAT(said, testing::AllOf(testing::HasSubstr("3 requests"), testing::HasSubstr("at most 3")));
  gate.open();
  while (threaded.thread.state().open_requests > 0) std::this_thread::yield();
  EXPECT_EQ(finished, 4);
  EXPECT_EQ(threaded.run({small_prompt(4), seeded(2)}).token_ids.size(), 10u) << "there is room again";
}

TEST(EngineThread, AnAbortThatFindsNoMemoryIsNotLost) {
  Gate gate;
  Threaded threaded;
  std::promise<FinishReason> ended;
  int events = 0;
  const RequestId id = threaded.thread.submit({small_prompt(3), {.temperature = 0, .ignore_eos = true}},
                                              [&](const OutputEvent& event) {
                                                if (++events <= 2) gate.pass();
                                                if (event.finished()) ended.set_value(event.finish_reason);
                                              });
  gate.hold();
  // More than the engine has room for without asking for memory.
  for (RequestId unknown = 0; unknown < 1000; ++unknown) threaded.thread.abort(unknown + 100);
  threaded.thread.abort(id);
  {
    const RefusedCalls refused(0, /*all_after=*/true);
    gate.open();
    gate.hold();  // the abort was tried, and a step later the next token is there
  }
  gate.open();
  EXPECT_EQ(ended.get_future().get(), FinishReason::abort);
}

TEST(EngineThread, ManyAbortsTakeTimeLinearInTheirNumber) {
  Threaded threaded;
  const auto abort_all_of = [&](int count) {
    Gate gate;
    std::promise<void> last;
    int left = count;
    threaded.thread.submit({small_prompt(3), {.max_tokens = 1}}, [&](const OutputEvent&) { gate.pass(); });
    gate.hold();
    std::vector<RequestId> ids;
    for (int i = 0; i < count; ++i)
      ids.push_back(threaded.thread.submit({small_prompt(2), {}}, [&](const OutputEvent& event) {
        if (event.finished() && --left == 0) last.set_value();
      }));
    for (const RequestId id : ids) threaded.thread.abort(id);
    const auto begin = std::chrono::steady_clock::now();
    gate.open();
    last.get_future().wait();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  double few = 1e9, many = 1e9;
  for (int round = 0; round < 3; ++round) {
    few = std::min(few, abort_all_of(2000));
    many = std::min(many, abort_all_of(20000));
  }
  EXPECT_LT(many, 40 * few) << "10 times as many may take 10 times as long, quadratic would be 100 times";
}

TEST(EngineThread, CallsRunBetweenSteps) {
  Threaded threaded;
  int64_t blocks = 0;
  threaded.thread.call([&](Engine& engine) { blocks = engine.stats().free_blocks; });
  EXPECT_EQ(blocks, threaded.thread.state().stats.free_blocks);
  EXPECT_THROW(threaded.thread.call([](Engine&) { throw Error("[test] the call's own"); }), Error);
  std::promise<std::string> said;
  threaded.thread.submit({small_prompt(3), {.max_tokens = 1}}, [&](const OutputEvent&) {
    try {
      threaded.thread.call([](Engine&) {});
      said.set_value("nothing was thrown");
    } catch (const Error& error) {
      said.set_value(error.what());
    }
  });
  EXPECT_THAT(said.get_future().get(), testing::HasSubstr("would wait for itself"));
}

TEST(EngineThread, AnEngineThatCannotBeMadeThrowsHere) {
  EXPECT_THROW(EngineThread([](EventSink) -> std::unique_ptr<Engine> { throw Error("[test] no model"); }),
               Error);
}

}  // namespace
}  // namespace reprise::engine

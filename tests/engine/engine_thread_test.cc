// The engine on its own thread, used from many: run under TSan by tools of the house.
#include "engine/engine_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "core/error.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

SamplingParams seeded(uint64_t seed) {
  return {.temperature = 1, .seed = seed, .max_tokens = 10};
}

struct Threaded {
  ThreadTeam team{2};
  TestDevice device{team, Isa::scalar};
  EngineThread thread{[this](EventSink sink) {
    return std::make_unique<Engine>(small_model(team, device), EngineServices(device), small_engine_config(),
                                    std::move(sink));
  }};

  // Submits and waits for the last event of output 0.
  Collected run(Request request) {
    Collected collected;
    std::promise<void> done;
    thread.submit(std::move(request), [&](const OutputEvent& event) {
      collected.take(event);
      if (event.finished()) done.set_value();
    });
    done.get_future().wait();
    return collected;
  }
};

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
        threaded.thread.stats();
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

TEST(EngineThread, AnEngineThatCannotBeMadeThrowsHere) {
  EXPECT_THROW(EngineThread([](EventSink) -> std::unique_ptr<Engine> { throw Error("[test] no model"); }),
               Error);
}

}  // namespace
}  // namespace reprise::engine

// A sink that throws: only its own request is hurt, every other event is delivered once, and the engine goes
// on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <new>

#include "core/error.h"
#include "engine/engine_thread.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using testing::HasSubstr;

std::vector<Request> five_requests() {
  std::vector<Request> requests;
  for (uint32_t i = 0; i < 5; ++i) {
    Request request{small_prompt(5 + 7 * i, i),
                    {.temperature = 1, .seed = i, .max_tokens = 6, .logprobs = 2}};
    if (i == 1) request.sampling.n = 3;
    if (i == 2) request.sampling.prompt_logprobs = 1;
    if (i == 3) request.sampling.temperature = -1;  // refused
    requests.push_back(std::move(request));
  }
  return requests;
}

// Counts the events of each output and checks that none comes behind the last.
struct Recorder {
  Results results;
  std::map<std::pair<RequestId, int32_t>, int> last_events;

  void take(const OutputEvent& event) {
    const std::pair key{event.request, event.output};
    EXPECT_EQ(last_events[key], 0) << "an event behind the last one of request " << event.request;
    results[key].take(event);
    last_events[key] += event.finished();
  }
};

// Runs until nothing is left, through every exception; how many there were.
int run_through(Engine& engine) {
  int thrown = 0;
  for (bool more = true; more;) {
    try {
      more = engine.step();
    } catch (...) {
      ++thrown;
    }
  }
  return thrown;
}

struct Thrown : std::exception {};

// For every event of the run: the sink throws there, before or after it has taken the event.
TEST(Sink, ThrowsAtEveryEventInTurn) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  Recorder* recorder = nullptr;
  int64_t throw_at = 0, events = 0;
  RequestId hurt = 0;
  Engine engine(small_model(team, device), EngineServices(device), small_engine_config(),
                [&](const OutputEvent& event) {
                  if (events++ == throw_at) {
                    hurt = event.request;
                    if (throw_at % 3 == 0) throw std::bad_alloc();
                    if (throw_at % 3 == 1) throw 7;
                    throw Thrown();
                  }
                  recorder->take(event);
                });
  RequestId next = 0;
  const auto run = [&](Recorder& into, int64_t at) {
    recorder = &into;
    throw_at = at;
    events = 0;
    for (Request& request : five_requests()) {
      engine.submit_as(next, std::move(request));
      ++next;
    }
    return run_through(engine);
  };
  Recorder clean;
  const RequestId first = next;
  ASSERT_EQ(run(clean, -1), 0);
  const int64_t total = events;
  ASSERT_GT(total, 30);
  for (int64_t at = 0; at < total; ++at) {
    SCOPED_TRACE(at);
    const RequestId base = next;
    Recorder got;
    EXPECT_EQ(run(got, at), 1);
    EXPECT_TRUE(engine.idle());
    EXPECT_EQ(engine.stats().free_blocks, engine.memory().num_kv_blocks);
    for (const auto& [key, expected] : clean.results) {
      const std::pair mine{base + key.first - first, key.second};
      if (mine.first == hurt) continue;
      EXPECT_EQ(got.last_events[mine], 1);
      EXPECT_EQ(got.results[mine].token_ids, expected.token_ids);
      EXPECT_EQ(got.results[mine].error, expected.error);
      EXPECT_EQ(got.results[mine].prompt_scores.size(), expected.prompt_scores.size());
    }
  }
}

TEST(Sink, SeveralThrowInOneStep) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  Recorder recorder;
  bool angry = true;
  Engine engine(small_model(team, device), EngineServices(device), small_engine_config(),
                [&](const OutputEvent& event) {
                  if (angry && event.request != 2) throw Error("[test] of request {}", event.request);
                  recorder.take(event);
                });
  for (Request& request : five_requests()) engine.submit(std::move(request));
  EXPECT_GT(run_through(engine), 0);
  angry = false;
  EXPECT_EQ(recorder.results.size(), 1u) << "every other request was aborted at its first event";
  EXPECT_EQ((recorder.last_events[{2, 0}]), 1);
  EXPECT_EQ(engine.stats().free_blocks, engine.memory().num_kv_blocks);
  engine.submit({small_prompt(3), {.max_tokens = 2}});
  engine.run();
  EXPECT_EQ((recorder.last_events[{5, 0}]), 1);
}

TEST(Sink, AbortAllForgetsWhatWasSubmittedBefore) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  Recorder recorder;
  Engine* self = nullptr;
  bool leave = false;
  RequestId later = 0;
  Engine engine(small_model(team, device), EngineServices(device), small_engine_config(),
                [&](const OutputEvent& event) {
                  recorder.take(event);
                  if (std::exchange(leave, false)) {
                    self->abort_all();
                    later = self->submit({small_prompt(4), {.temperature = 0, .max_tokens = 3}});
                  }
                });
  self = &engine;
  for (const bool in_sink : {false, true}) {
    for (Request& request : five_requests()) engine.submit(std::move(request));
    engine.step();
    engine.submit({small_prompt(9), {.max_tokens = 4}});
    const size_t heard = recorder.last_events.size();
    if (in_sink) {
      leave = true;
    } else {
      engine.abort_all();
      EXPECT_TRUE(engine.idle());
      later = engine.submit({small_prompt(4), {.temperature = 0, .max_tokens = 3}});
    }
    engine.run();
    EXPECT_EQ((recorder.results[{later, 0}].token_ids.size()), 3u);
    EXPECT_EQ(recorder.last_events.size(), heard + 1) << "only the later request was heard of";
    EXPECT_EQ(engine.stats().free_blocks, engine.memory().num_kv_blocks);
  }
}

TEST(Sink, MayNotStep) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  Engine* self = nullptr;
  std::string said;
  Engine engine(small_model(team, device), EngineServices(device), small_engine_config(),
                [&](const OutputEvent&) {
                  try {
                    self->step();
                  } catch (const Error& error) {
                    said = error.what();
                  }
                });
  self = &engine;
  engine.submit({small_prompt(4), {.max_tokens = 2}});
  engine.run();
  EXPECT_THAT(said, HasSubstr("event sink"));
}

TEST(Sink, BadArgumentsAreRefusedAtTheDoor) {
  SmallEngine small;
  EXPECT_THROW(small.engine.finish(0, -1, FinishReason::stop, 0), Error);
  EXPECT_THROW(small.engine.finish(0, SamplingParams::kMaxOutputs, FinishReason::stop, 0), Error);
  EXPECT_THROW(small.engine.finish(0, 0, FinishReason::stop, -1), Error);
  EXPECT_THROW(small.engine.finish(0, 0, FinishReason::none, 1), Error);
  EXPECT_THROW(small.engine.finish(0, 0, FinishReason::error, 1), Error);
  EXPECT_THROW(small.engine.finish(0, 0, static_cast<FinishReason>(99), 1), Error);
  small.engine.finish(12345, 0, FinishReason::stop, 1);  // nobody's: ignored
  small.engine.abort(12345);
  small.run({{small_prompt(3), {.max_tokens = 1}}});
  small.engine.finish(0, 0, FinishReason::stop, 0);  // finished: ignored
  small.engine.finish(0, 7, FinishReason::stop, 0);
  EXPECT_THROW(small.engine.submit_as(0, {small_prompt(3), {}}), Error);
  EXPECT_EQ(small.engine.submit({small_prompt(3), {.max_tokens = 1}}), 1u);
  small.engine.run();
  EXPECT_EQ(small.results.size(), 2u);
}

// --- on the engine's own thread

struct Threaded {
  ThreadTeam team{1};
  TestDevice device{team, Isa::scalar};
  EngineThread thread{[this](EventSink sink) {
    return std::make_unique<Engine>(small_model(team, device), EngineServices(device), small_engine_config(),
                                    std::move(sink));
  }};
};

TEST(EngineThreadSink, OneThatThrowsHurtsItsOwnRequestOnly) {
  Results alone = SmallEngine().run({{small_prompt(6), {.temperature = 1, .seed = 4, .max_tokens = 8}}});
  Threaded threaded;
  for (int round = 0; round < 5; ++round) {
    int heard = 0;
    std::promise<Collected> done;
    Collected good;
    threaded.thread.submit({small_prompt(9), {.max_tokens = 20, .n = 2}}, [&](const OutputEvent&) {
      if (heard++ == round) throw Error("[test] the sink is broken");
    });
    threaded.thread.submit({small_prompt(6), {.temperature = 1, .seed = 4, .max_tokens = 8}},
                           [&](const OutputEvent& event) {
                             good.take(event);
                             if (event.finished()) done.set_value(good);
                           });
    EXPECT_EQ(done.get_future().get().token_ids, (alone[{0, 0}].token_ids)) << round;
    EXPECT_LE(heard, round + 1) << "nothing comes after it threw";
  }
}

TEST(EngineThreadSink, BadArgumentsAreTheCallersError) {
  Threaded threaded;
  EXPECT_THROW(threaded.thread.submit({small_prompt(3), {}}, nullptr), Error);
  EXPECT_THROW(threaded.thread.finish(0, -1, FinishReason::stop, 0), Error);
  EXPECT_THROW(threaded.thread.finish(0, 0, FinishReason::none, 0), Error);
  EXPECT_THROW(threaded.thread.finish(0, 0, FinishReason::stop, -5), Error);
  std::promise<FinishReason> done;
  threaded.thread.submit({small_prompt(3), {.max_tokens = 2}}, [&](const OutputEvent& event) {
    if (event.finished()) done.set_value(event.finish_reason);
  });
  EXPECT_EQ(done.get_future().get(), FinishReason::length) << "it was served all the same";
  EXPECT_THROW(EngineThread(nullptr), Error);
  EXPECT_THROW(EngineThread([](EventSink) { return std::unique_ptr<Engine>(); }), Error);
  EXPECT_THROW(EngineThread([](EventSink) -> std::unique_ptr<Engine> { throw std::bad_alloc(); }),
               std::bad_alloc);
}

// A client that answers its last event with another request would keep the destructor waiting for ever.
TEST(EngineThreadSink, NothingIsTakenOnceItEnds) {
  std::atomic<int> last{0}, refused{0};
  EngineThread* thread = nullptr;
  // It outlives the thread, whose destructor calls it.
  std::function<void(const OutputEvent&)> again = [&](const OutputEvent& event) {
    if (!event.finished()) return;
    ++last;
    try {
      thread->submit({small_prompt(40), {.temperature = 0}}, again);
    } catch (const Error&) {
      ++refused;
    }
  };
  {
    Threaded threaded;
    thread = &threaded.thread;
    for (int i = 0; i < 3; ++i) thread->submit({small_prompt(40), {.temperature = 0}}, again);
  }
  EXPECT_GE(last, 3);
  EXPECT_EQ(refused, 3);
}

}  // namespace
}  // namespace reprise::engine

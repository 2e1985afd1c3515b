// Events pushed by hand, as the engine's thread would: what is woken, what is taken, what a refused allocation
// does.
#include "api/event_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "core/failure.h"
#include "tests/count_new.h"

namespace reprise::api {
namespace {

using engine::FinishReason;
using engine::OutputEvent;
using testing::ElementsAre;

OutputEvent event_of(engine::RequestId request, FinishReason reason = FinishReason::none, int output = 0) {
  OutputEvent event;
  event.request = request;
  event.output = output;
  event.token_ids = {1};
  event.finish_reason = reason;
  return event;
}

TEST(EventQueue, WakesOnceUntilItIsDrained) {
  int woken = 0;
  const auto queue = std::make_shared<EventQueue>([&] { ++woken; });
  std::vector<size_t> taken;
  const engine::EventSink first = queue->sink(1, [&](auto&& events) { taken.push_back(events.size()); });
  const engine::EventSink second =
      queue->sink(1, [&](auto&& events) { taken.push_back(10 + events.size()); });
  queue->end_step();
  EXPECT_EQ(woken, 0) << "nothing is there";
  for (int step = 0; step < 3; ++step) {
    first(event_of(0));
    if (step > 0) second(event_of(1));
    queue->end_step();
    EXPECT_EQ(woken, 1);
  }
  queue->drain();
  EXPECT_THAT(taken, ElementsAre(3, 12)) << "one call a request, in the order of their first events";
  queue->end_step();
  EXPECT_EQ(woken, 1);
  second(event_of(1));
  queue->end_step();
  EXPECT_EQ(woken, 2);
}

TEST(EventQueue, AClosedOneWakesNobodyAndLosesNothing) {
  int woken = 0, taken = 0;
  const auto queue = std::make_shared<EventQueue>([&] { ++woken; });
  const engine::EventSink sink =
      queue->sink(1, [&](auto&& events) { taken += static_cast<int>(events.size()); });
  queue->close();
  sink(event_of(0));
  queue->end_step();
  EXPECT_EQ(woken, 0);
  queue->drain();
  EXPECT_EQ(taken, 1);
}

TEST(EventQueue, AWakeThatThrowsIsTriedAgain) {
  int calls = 0;
  const auto queue = std::make_shared<EventQueue>([&] {
    if (++calls < 3) throw std::bad_alloc();
  });
  queue->sink(1, [](auto&&) {})(event_of(0));
  EXPECT_THROW(queue->end_step(), std::bad_alloc);
  EXPECT_THROW(queue->end_step(), std::bad_alloc);
  queue->end_step();
  queue->end_step();
  EXPECT_EQ(calls, 3);
}

TEST(EventQueue, OneWhoThrowsLosesNobodyElsesEvents) {
  const auto queue = std::make_shared<EventQueue>([] {});
  int taken = 0;
  queue->sink(1, [](auto&&) { throw std::runtime_error("the client's own"); })(event_of(0));
  queue->sink(1, [&](auto&& events) { taken += static_cast<int>(events.size()); })(event_of(1));
  EXPECT_THROW(queue->drain(), std::runtime_error);
  queue->drain();
  EXPECT_EQ(taken, 1);
}

TEST(EventQueue, TheFunctionEndsWithItsRequestWhereItIsDrained) {
  const auto queue = std::make_shared<EventQueue>([] {});
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = held;
  const engine::EventSink sink = queue->sink(2, [held = std::move(held)](auto&&) {});
  sink(event_of(0, FinishReason::stop, 1));
  queue->drain();
  EXPECT_FALSE(alive.expired());
  sink(event_of(0, FinishReason::stop, 0));
  queue->drain();
  EXPECT_TRUE(alive.expired()) << "though the engine's thread still holds the sink";
}

TEST(EventQueue, ALostEventEndsTheRequestWithErrors) {
  const auto queue = std::make_shared<EventQueue>([] {});
  std::vector<OutputEvent> got;
  const engine::EventSink sink = queue->sink(3, [&](std::vector<OutputEvent>&& events) {
    for (OutputEvent& event : events) got.push_back(std::move(event));
  });
  sink(event_of(7, FinishReason::length, 1));
  const OutputEvent next = event_of(7);
  {
    const RefusedCalls refused(0, /*all_after=*/true);
    EXPECT_THROW(sink(next), std::bad_alloc);
  }
  queue->drain();
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].finish_reason, FinishReason::length);
  for (const size_t i : {1u, 2u}) {
    EXPECT_EQ(got[i].request, 7u);
    EXPECT_EQ(got[i].finish_reason, FinishReason::error);
    EXPECT_EQ(got[i].error, kShortNoMemory);
  }
  EXPECT_EQ(got[1].output, 0);
  EXPECT_EQ(got[2].output, 2);
}

TEST(EventQueue, AnEndlessListOfClientsIsFreedWithoutADeepStack) {
  auto queue = std::make_shared<EventQueue>([] {});
  for (int i = 0; i < 300'000; ++i) queue->sink(1, [](auto&&) {})(event_of(0));
  const std::weak_ptr<EventQueue> alive = queue;
  queue.reset();
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace reprise::api

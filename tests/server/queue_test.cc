// Requests that wait for a place in the engine: how long, and in which order.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::string completion(const std::string& more) {
  return post("/v1/completions", R"({"prompt": "Once", "max_tokens": 3, "seed": 1)" + more + "}");
}

TEST(MaxWaitingTime, IsToldByTheStatusOrByTheStreamsLastEvent) {
  const ServedModel served(quiet_server(), tiny_model(), {.max_waiting = milliseconds(50)});
  Client busy = served.connect();
  busy.send(endless(true));
  busy.read_until("data: ");
  Client whole = served.connect(), stream = served.connect(), message = served.connect();
  whole.send(completion(""));
  stream.send(completion(R"(, "stream": true)"));
  message.send(post("/v1/messages", R"({"max_tokens": 3, "messages": [{"role": "user", "content": "Hi"}]})"));
  const Reply told = whole.reply();
  EXPECT_EQ(told.status, 503);
  EXPECT_FALSE(told.field("retry-after").empty());
  EXPECT_EQ(Json::parse(told.body)["error"]["code"], "queue_timeout");
  EXPECT_THAT(told.body, HasSubstr("--max-waiting-time"));
  const Reply begun = stream.reply();
  EXPECT_EQ(begun.status, 200);
  EXPECT_THAT(begun.body,
              testing::AllOf(testing::StartsWith("data: {\"error\":"), HasSubstr("queue_timeout")));
  const Reply other = message.reply();
  EXPECT_EQ(other.status, 503);
  EXPECT_EQ(Json::parse(other.body)["error"]["type"], "overloaded_error");
  busy.close();
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  EXPECT_EQ(served.ask(completion("")).status, 200);
}

TEST(MaxWaitingTime, PromptsOfARequestThatBeganMayWait) {
  const ServedModel served(quiet_server(), tiny_model(), {.max_waiting = milliseconds(0)});
  std::string prompts = R"("a")";
  for (int i = 0; i < 40; ++i) prompts += R"(, "Once upon")";
  const Reply reply = served.ask(
      post("/v1/completions", R"({"max_tokens": 20, "ignore_eos": true, "prompt": [)" + prompts + "]}"));
  EXPECT_EQ(reply.status, 200) << reply.body;
}

TEST(Priority, IsAFieldOfAllThatGenerate) {
  const ServedModel served;
  for (const char* value : {"0", "-2147483648", "2147483647", "null"})
    EXPECT_EQ(served.ask(completion(fmt::format(R"(, "priority": {})", value))).status, 200) << value;
  for (const char* value : {"2147483648", "-2147483649", "1.5", "\"high\"", "true", "[]"}) {
    const Reply reply = served.ask(completion(fmt::format(R"(, "priority": {})", value)));
    EXPECT_EQ(reply.status, 400) << value;
    EXPECT_EQ(Json::parse(reply.body)["error"]["param"], "priority");
    const std::string messages = fmt::format(
        R"({{"max_tokens": 3, "priority": {}, "messages": [{{"role": "user", "content": "Hi"}}]}})", value);
    EXPECT_EQ(served.ask(post("/v1/messages", messages)).status, 400) << value;
    EXPECT_EQ(served.ask(post("/v1/chat/completions", messages)).status, 400) << value;
  }
  const std::string good =
      R"({"max_tokens": 3, "priority": -7, "messages": [{"role": "user", "content": "Hi"}]})";
  EXPECT_EQ(served.ask(post("/v1/messages", good)).status, 200);
  EXPECT_EQ(served.ask(post("/v1/chat/completions", good)).status, 200);
}

// Queued while the engine is paused, with one place in the engine.
TEST(Priority, TheUrgentOvertakeWithTheSameBits) {
  LoadOptions one = tiny_model();
  one.max_num_seqs = 1;
  ServedModel served(quiet_server(), one);
  const std::string alone = Json::parse(served.ask(completion("")).body)["choices"][0]["text"];
  served.model.pause();
  Client late = served.connect(), urgent = served.connect();
  late.send(
      post("/v1/completions",
           R"({"prompt": "Once", "max_tokens": 480, "ignore_eos": true, "priority": 1, "stream": true})"));
  EXPECT_TRUE(soon([&] { return served.model.health().waiting == 1; }));
  urgent.send(completion(R"(, "priority": -1)"));
  EXPECT_TRUE(soon([&] { return served.model.health().waiting == 2; }));
  served.model.resume();
  EXPECT_EQ(Json::parse(urgent.reply().body)["choices"][0]["text"], alone);
  EXPECT_EQ(served.model.health().open_requests, 1u) << "the other one was in no hurry";
  late.close();
}

}  // namespace
}  // namespace reprise::server

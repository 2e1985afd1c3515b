// Clients that are slow to send or to read.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

ServerOptions impatient() {
  ServerOptions options = quiet_server();
  options.http.head_timeout = options.http.body_timeout = milliseconds(200);
  options.http.idle_timeout = options.http.stall_timeout = milliseconds(300);
  return options;
}

// How long the server keeps a connection on which a byte comes every 20 ms.
milliseconds kept(Client& client) {
  const auto start = Clock::now();
  for (bool open = true; open && Clock::now() - start < milliseconds(5000);) {
    client.send("a");
    open = !client.ends_within(milliseconds(20));
  }
  return std::chrono::duration_cast<milliseconds>(Clock::now() - start);
}

TEST(SlowClients, SilenceEndsTheConnection) {
  const ServedModel served(impatient());
  Client silent = served.connect(), idle = served.connect(), half = served.connect();
  idle.send(get("/ping"));
  EXPECT_EQ(idle.reply().status, 200);
  half.send("GET /ping HT");
  EXPECT_TRUE(silent.ends_within(milliseconds(3000)));
  EXPECT_TRUE(idle.ends_within(milliseconds(3000)));
  EXPECT_TRUE(half.ends_within(milliseconds(3000)));
}

TEST(SlowClients, AByteAtATimeDoesNotExtendTheTime) {
  const ServedModel served(impatient());
  Client head = served.connect(), body = served.connect(), chunks = served.connect(),
         second = served.connect();
  head.send("GET /ping HTTP/1.1\r\nHost: x\r\nX: ");
  EXPECT_LT(kept(head), milliseconds(3000));
  const std::string begin = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
  body.send(begin + "Content-Length: 100000\r\n\r\n");
  EXPECT_LT(kept(body), milliseconds(3000));
  chunks.send(begin + "Transfer-Encoding: chunked\r\n\r\nffff\r\n");
  EXPECT_LT(kept(chunks), milliseconds(3000));
  EXPECT_TRUE(second.ends_within(milliseconds(3000)));
  Client again = served.connect();
  again.send(get("/ping") + "GET /pi");
  EXPECT_EQ(again.reply().status, 200);
  EXPECT_LT(kept(again), milliseconds(3000));
  EXPECT_TRUE(served.at_rest());
}

TEST(SlowClients, AnAnswerThatTakesLongIsNotCutOff) {
  const ServedModel served(impatient());
  Client client = served.connect();
  const std::string request =
      post("/v1/completions",
           fmt::format(R"({{"prompt": "Once", "n": {}, "max_tokens": 500, "ignore_eos": true}})",
                       kSlowness == 1 ? 16 : 1));
  const auto start = Clock::now();
  EXPECT_TRUE(client.send(request));
  EXPECT_EQ(client.reply().status, 200);
  EXPECT_GT(Clock::now() - start, milliseconds(300)) << "longer than any timeout, or this shows nothing";
}

// Its stream goes nowhere: what waits for it is bounded, its request ends, and nobody else notices.
TEST(SlowClients, WhoNeverReadsIsCutOff) {
  const ServedModel served(impatient());
  const std::string request =
      post("/v1/completions",
           R"({"prompt": "Once", "n": 128, "max_tokens": 500, "ignore_eos": true, "logprobs": 20,)"
           R"( "stream": true})");
  Client client = served.connect(4096);
  client.send(request);
  EXPECT_TRUE(soon([&] { return served.model.health().running > 0; }));
  EXPECT_TRUE(soon([&] { return served.at_rest(); }, 10 * kSoon));
  EXPECT_EQ(served.ask(kShort).status, 200);
  EXPECT_LT(served.model.stats().generated_tokens, 128 * 500 / 2);
}

// Much more than its buffer and the kernel's hold, so that the end of it waits in the engine.
TEST(SlowClients, WhoReadsLateGetsTheSameAndOthersGoOnMeanwhile) {
  // Some 9 MB: the kernel takes 4 of them.
  if (kSlowness > 1) GTEST_SKIP() << "so many tokens take minutes under a sanitizer";
  ServerOptions options = quiet_server();
  options.http.stall_timeout = std::chrono::minutes(5);
  const ServedModel served(options);
  const std::string request =
      post("/v1/completions",
           R"({"prompt": "Once", "n": 24, "max_tokens": 480, "ignore_eos": true, "logprobs": 20,)"
           R"( "stream": true, "seed": 5, "request_id": "late"})");
  const auto data_of = [](const std::string& body) {  // without what differs: the time
    std::vector<std::string> chunks;
    for (size_t at = body.find("data: {"); at != std::string::npos; at = body.find("data: {", at + 1)) {
      const size_t choices = body.find("\"choices\"", at);
      chunks.push_back(body.substr(choices, body.find('\n', at) - choices));
    }
    std::ranges::sort(chunks);  // outputs run in another order
    return chunks;
  };
  const auto prompt = data_of(served.ask(request).body);
  Client late = served.connect(65536);
  late.send(request);
  const int64_t before = served.model.stats().generated_tokens;
  int64_t made = before;
  // The kernel's buffers grow, and then it goes on for a while.
  EXPECT_TRUE(soon(
      [&] {
        made = served.model.stats().generated_tokens;
        std::this_thread::sleep_for(milliseconds(300));
        const api::Health health = served.model.health();
        return made > before && served.model.stats().generated_tokens == made && health.running == 0 &&
               health.waiting > 0;
      },
      10 * kSoon))
      << "it is held";
  const Json other = Json::parse(served.ask(kShort).body);
  const int64_t of_other = other["usage"]["completion_tokens"];
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 1; }));
  EXPECT_EQ(served.model.stats().generated_tokens, made + of_other)
      << "nothing was computed for who doesn't read";
  EXPECT_EQ(data_of(late.reply().body), prompt);
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
}

TEST(SlowClients, CommentsKeepAStreamAlive) {
  ServerOptions options = quiet_server();
  options.service.keep_alive_interval = 1;
  ServedModel served(options);
  Client client = served.connect();
  client.send(post(
      "/v1/completions",
      fmt::format(R"({{"prompt": "Once", "n": 3, "max_tokens": {}, "ignore_eos": true, "stream": true}})",
                  kSlowness == 1 ? 480 : 60)));
  client.read_until("data: ");
  // The engine is held within a step.
  std::binary_semaphore go{0};
  bool first = true;
  served.model.submit({.prompt_token_ids = {1}, .sampling = {.max_tokens = 1}},
                      [&](const engine::OutputEvent&) {
                        if (std::exchange(first, false)) go.acquire();
                      });
  client.read_until(": keep-alive\n\n");
  EXPECT_EQ(served.ask(get("/health")).status, 200);
  EXPECT_EQ(served.ask(get("/metrics")).status, 200);
  EXPECT_EQ(served.ask(get("/load")).status, 200);
  go.release();
  client.read_until("data: [DONE]");
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
}

}  // namespace
}  // namespace reprise::server

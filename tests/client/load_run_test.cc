// Loads against a real server and against scripted ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "client/load/load_run.h"
#include "tests/client/scripted_server.h"
#include "tests/server/served_model.h"

namespace reprise::client {
namespace {

using Peer = ScriptedServer::Peer;

const std::vector<std::string> kBodies = {
    R"({"prompt":"Once","max_tokens":6,"temperature":0,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}})",
    R"({"prompt":"The cat","max_tokens":9,"temperature":0,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}})"};

LoadResult run(const std::string& url, LoadSettings settings,
               const std::vector<std::string>& bodies = kBodies) {
  HttpLoop loop(parse_server_url(url));
  return run_load(loop, settings, bodies, nullptr, nullptr);
}

TEST(LoadRun, ClosedLoopKeepsSoManyOpen) {
  const server::ServedModel served;
  const LoadResult result = run(served.server->address(), {.concurrency = 3, .requests = 10});
  ASSERT_EQ(result.requests.size(), 10U);
  EXPECT_EQ(result.most_open, 3);
  int64_t tokens = 0;
  for (const RequestRecord& record : result.requests) {
    EXPECT_EQ(record.error, "") << record.what;
    EXPECT_TRUE(record.has_usage);
    EXPECT_TRUE(record.output_tokens == 6 || record.output_tokens == 9);
    EXPECT_GT(record.first_s, 0);
    EXPECT_LE(record.first_s, record.total_s);
    EXPECT_LT(record.gaps_s.size(), static_cast<size_t>(record.output_tokens));
    tokens += record.output_tokens;
  }
  EXPECT_EQ(tokens, 5 * 6 + 5 * 9);
}

TEST(LoadRun, PoissonArrivalsComeAtTheirRate) {
  const server::ServedModel served;
  const LoadResult result = run(served.server->address(), {.rate = 200, .requests = 60, .seed = 3});
  ASSERT_EQ(result.requests.size(), 60U);
  double last = 0;
  for (const RequestRecord& record : result.requests) last = std::max(last, record.start_s);
  // 59 gaps of 5 ms: 0.3 s, give or take four standard deviations.
  EXPECT_GT(last, 0.14);
  EXPECT_LT(last, 0.45);
}

TEST(LoadRun, EndsWithTheTime) {
  const server::ServedModel served;
  const LoadResult result = run(served.server->address(), {.concurrency = 2, .duration_s = 0.3});
  EXPECT_GT(result.requests.size(), 2U);
  for (const RequestRecord& record : result.requests) EXPECT_LE(record.start_s, 0.31);
  const LoadResult poisson = run(served.server->address(), {.rate = 100, .duration_s = 0.3});
  for (const RequestRecord& record : poisson.requests) EXPECT_LE(record.start_s, 0.31);
}

TEST(LoadRun, IsInterrupted) {
  const server::ServedModel served;
  HttpLoop loop(parse_server_url(served.server->address()));
  std::atomic<int64_t> done{0};
  const LoadResult result = run_load(
      loop, {.concurrency = 2, .requests = 1'000'000}, kBodies, [&] { return done > 4; },
      [&](int64_t count) { done = count; });
  EXPECT_GE(result.requests.size(), 5U);
  EXPECT_TRUE(server::soon([&] { return served.at_rest(); }));
}

TEST(LoadRun, NamesErrors) {
  struct Case {
    std::string kind, reply;
  };
  const std::string text = R"({"choices":[{"text":"a"}]})";
  const Case cases[] = {
      {"http_429", reply_with(R"({"error":{"message":"later"}})", 429)},
      {"http_500", reply_with("", 500)},
      {"no_stream", reply_with("{}")},
      {"stream_error", stream_of({text, R"({"error":{"message":"broken"}})", "[DONE]"})},
      {"incomplete", stream_of({text})},
      {"incomplete", stream_of({"[DONE]"})},
      {"closed", stream_of({text, text}).substr(0, 150)},
      {"malformed", "nonsense"},
  };
  for (const Case& one : cases) {
    const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
      peer.send(one.reply);
      return false;
    });
    const LoadResult result = run(server.url(), {.concurrency = 2, .requests = 3});
    ASSERT_EQ(result.requests.size(), 3U) << one.kind;
    for (const RequestRecord& record : result.requests) {
      EXPECT_EQ(record.error, one.kind) << one.reply;
      EXPECT_NE(record.what, "") << one.kind;
    }
  }
}

TEST(LoadRun, CountsChunksWhereThereIsNoUsage) {
  const std::string text = R"({"choices":[{"text":"a"}]})";
  const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
    peer.send(stream_of({text, text, text, "[DONE]"}));
    return true;
  });
  const LoadResult result = run(server.url(), {.requests = 1});
  EXPECT_EQ(result.requests.at(0).error, "");
  EXPECT_FALSE(result.requests.at(0).has_usage);
  EXPECT_EQ(result.requests.at(0).output_tokens, 3);
  EXPECT_EQ(result.chunks, 3);
}

TEST(LoadRun, MeasuresWhenTextArrives) {
  const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    peer.send(head + "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n");
    Peer::pause(100);
    peer.send("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
    Peer::pause(60);
    peer.send("data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n");
    return false;
  });
  const LoadResult result = run(server.url(), {.requests = 1});
  const RequestRecord& record = result.requests.at(0);
  EXPECT_EQ(record.error, "");
  EXPECT_GE(record.first_s, 0.1);
  ASSERT_EQ(record.gaps_s.size(), 1U);
  // The first of two texts may be read late, and then the second comes sooner after it.
  EXPECT_GE(record.gaps_s[0], 0.03F);
  EXPECT_GE(static_cast<double>(record.first_s) + static_cast<double>(record.gaps_s[0]), 0.16);
}

}  // namespace
}  // namespace reprise::client

// The end of a server: accepted requests finish, new ones are told, and nothing is left behind.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::string long_request(bool stream) {
  return post(
      "/v1/completions",
      fmt::format(R"({{"prompt": "Once", "n": 8, "max_tokens": {}, "ignore_eos": true, "stream": {}}})",
                  kSlowness == 1 ? 200 : 50, stream));
}

TEST(Shutdown, AcceptedRequestsFinishAndNewOnesAreTold) {
  ServedModel served;
  Client streaming = served.connect(), waiting = served.connect(), idle = served.connect();
  idle.send(get("/health"));
  EXPECT_EQ(idle.reply().status, 200);
  streaming.send(long_request(true));
  waiting.send(long_request(false));
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 2; }));
  std::thread drain([&] { served.server->drain(); });
  EXPECT_TRUE(idle.ends_within(kSoon)) << "it has nothing to wait for";
  const Reply health = served.ask(get("/health"));
  EXPECT_EQ(health.status, 503);
  EXPECT_THAT(health.body, HasSubstr("shutting down"));
  EXPECT_EQ(served.ask(get("/ping")).status, 200);
  for (const std::string& request : {kShort, endless(true), post("/tokenize", R"({"prompt": "x"})")}) {
    const Reply refused = served.ask(request);
    EXPECT_EQ(refused.status, 503);
    EXPECT_EQ(refused.field("connection"), "close");
    EXPECT_FALSE(refused.field("retry-after").empty());
  }
  EXPECT_GT(served.server->open_requests(), 0) << "they were faster than all this";
  EXPECT_THAT(streaming.reply().body, testing::EndsWith("data: [DONE]\n\n"));
  const Json whole = Json::parse(waiting.reply().body);
  ASSERT_EQ(whole["choices"].size(), 8u);
  for (const Json& choice : whole["choices"]) EXPECT_EQ(choice["finish_reason"], "length");
  drain.join();
  const uint16_t port = served.server->port();
  served.server.reset();
  EXPECT_THROW(Client{port}, std::exception);
}

TEST(Shutdown, AfterTheGraceTimeRequestsEndWithALastEvent) {
  ServerOptions options = quiet_server();
  options.grace = milliseconds(50);
  ServedModel served(options);
  Client streaming = served.connect(), waiting = served.connect(), queued = served.connect();
  streaming.send(endless(true));
  streaming.read_until("data: ");
  waiting.send(endless(false));
  queued.send(endless(true));
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 3; }));
  const auto start = std::chrono::steady_clock::now();
  served.server->drain();
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(50));
  served.server.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, kSoon + milliseconds(50));
  const std::string rest = streaming.read_all();
  EXPECT_THAT(rest, HasSubstr("\"finish_reason\":\"abort\""));
  EXPECT_TRUE(rest.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
  EXPECT_EQ(Json::parse(waiting.reply().body)["choices"][127]["finish_reason"], "abort");
  EXPECT_THAT(queued.reply().body, HasSubstr("\"finish_reason\":\"abort\""));
}

// In the middle of all that a request goes through, time and again.
TEST(Shutdown, AtAnyMoment) {
  std::string prompts = "\"a\"";
  for (int i = 1; i < 1000; ++i) prompts += ",\"She said that it was a long time ago\"";
  const std::string many = post("/v1/completions", "{\"max_tokens\": 2, \"prompt\": [" + prompts + "]}");
  for (int round = 0; round < 12; ++round) {
    ServerOptions options = quiet_server();
    options.http.threads = 1 + static_cast<size_t>(round) % 2;
    ServedModel served(options);
    std::vector<Client> clients;
    for (int i = 0; i < 24; ++i) {
      clients.push_back(served.connect());
      clients.back().send(i % 4 == 0   ? many
                          : i % 4 == 1 ? endless(i % 8 == 1)
                          : i % 4 == 2 ? post("/tokenize", R"({"prompt": "Once upon a time"})")
                                       : get("/v1/graph"));
    }
    std::this_thread::sleep_for(milliseconds(round * 3));
    served.server.reset();
    for (Client& client : clients) {
      const std::string all = client.read_all();
      // A connection may end before its request was read; what is said is no nonsense.
      if (!all.empty()) {
        EXPECT_TRUE(all.starts_with("HTTP/1.1 200 ") || all.starts_with("HTTP/1.1 503 "))
            << all.substr(0, 300);
      }
    }
  }
}

TEST(Shutdown, ModelThatStoppedIsAnError) {
  ServedModel served;
  Client streaming = served.connect();
  streaming.send(endless(true));
  streaming.read_until("data: ");
  served.model.stop();
  EXPECT_THAT(streaming.read_until("data: [DONE]"), HasSubstr("\"finish_reason\":\"abort\""));
  EXPECT_EQ(served.ask(get("/health")).status, 503);
  EXPECT_EQ(served.ask(kShort).status, 503);
  EXPECT_EQ(served.ask(get("/v1/graph")).status, 503);
  EXPECT_EQ(served.ask(get("/ping")).status, 200);
}

// Its head was accepted while the model still ran.
TEST(Shutdown, ABodyThatComesAfterTheModelStoppedIsNoFaultOfTheClient) {
  ServedModel served;
  Client client = served.connect();
  const std::string request = post("/v1/completions", R"({"prompt": "Once"})", "Expect: 100-continue\r\n");
  const size_t body = request.find("\r\n\r\n") + 4;
  client.send(request.substr(0, body));
  client.read_until("100 Continue\r\n\r\n");
  served.model.stop();
  client.send(request.substr(body));
  const Reply reply = client.reply();
  EXPECT_EQ(reply.status, 503) << reply.body;
  EXPECT_FALSE(reply.field("retry-after").empty());
  EXPECT_THAT(reply.body, HasSubstr("takes no more requests"));
}

// A place that the engine does not have is a status of its own, also for one of many prompts.
TEST(Overload, IsToldAtOnce) {
  ServerOptions options = quiet_server();
  options.service.max_concurrency = 2;
  ServedModel served(options);
  Client first = served.connect(), second = served.connect();
  first.send(endless(true));
  first.read_until("data: ");
  second.send(endless(true));
  EXPECT_TRUE(soon([&] { return served.server->open_requests() == 2; }));
  const Reply refused = served.ask(kShort);
  EXPECT_EQ(refused.status, 429);
  EXPECT_FALSE(refused.field("retry-after").empty());
  first.close();
  EXPECT_TRUE(soon([&] { return served.server->open_requests() == 1; }));
  second.close();
  EXPECT_EQ(served.ask(kShort).status, 200);
}

TEST(Overload, AFullQueueEndsAllPartsOfARequest) {
  api::ServingModel model(tiny_model(), {.max_open_requests = 5});
  Server server(quiet_server(), model);
  Client client(server.port());
  client.send(post("/v1/completions",
                   R"({"max_tokens": 500, "ignore_eos": true, "prompt": ["a","a","a","a","a","a"]})"));
  const Reply reply = client.reply();
  EXPECT_EQ(reply.status, 429);
  EXPECT_THAT(reply.body, HasSubstr("queue_full"));
  EXPECT_TRUE(soon([&] { return model.health().open_requests == 0 && server.open_requests() == 0; }));
  client.send(kShort);
  EXPECT_EQ(client.reply().status, 200) << "the connection goes on";
}

TEST(Templates, OneThatLoopsHoldsNobodysTokensUp) {
  const std::string path =
      fmt::format("{}/reprise-loop-{}.jinja", std::filesystem::temp_directory_path().string(), getpid());
  std::ofstream(path)
      << "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a %}{% endfor %}{% endfor %}";
  LoadOptions load = tiny_model();
  load.chat_template = path;
  const ServedModel served(quiet_server(), load);
  std::filesystem::remove(path);
  const std::string loops =
      post("/v1/chat/completions", R"({"messages": [{"role": "user", "content": "x"}]})");
  std::vector<Client> looping;
  for (int i = 0; i < 6; ++i) {
    looping.push_back(served.connect());
    looping.back().send(loops);
  }
  Client streaming = served.connect();
  streaming.send(post("/v1/completions",
                      R"({"prompt": "Once", "max_tokens": 300, "ignore_eos": true, "stream": true})"));
  const std::string body = streaming.reply().body;
  EXPECT_TRUE(body.ends_with("data: [DONE]\n\n"));
  for (Client& client : looping) {
    const Reply reply = client.reply();
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_THAT(reply.body, HasSubstr("chat template"));
  }
  // One who left is not waited for.
  Client gone = served.connect();
  gone.send(loops);
  gone.close();
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
}

}  // namespace
}  // namespace reprise::server

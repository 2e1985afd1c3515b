// Whoever goes away costs nothing from then on: no step, no place in the queue, no KV block.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include <string>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

enum class Way { close, reset, half_close };
constexpr Way kWays[] = {Way::close, Way::reset, Way::half_close};

void leave(Client& client, Way way) {
  if (way == Way::close) client.close();
  if (way == Way::reset) client.reset();
  if (way == Way::half_close) client.half_close();
}

void expect_rest(const ServedModel& served, int64_t tokens_before) {
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  EXPECT_LT(served.model.stats().generated_tokens - tokens_before, 30'000) << "of 64,000 a client";
  const Json load = Json::parse(served.ask(get("/load")).body);
  EXPECT_EQ(load, Json({{"num_requests_running", 0}, {"num_requests_waiting", 0}}));
  EXPECT_EQ(served.ask(kShort).status, 200);
}

// In each way: sends what `meet` sends, which returns once the request is there to be met, and leaves.
void expect_rest_after(const std::function<void(const ServedModel&, Client&)>& meet) {
  const ServedModel served;
  for (const Way way : kWays) {
    const int64_t before = served.model.stats().generated_tokens;
    Client client = served.connect();
    meet(served, client);
    leave(client, way);
    expect_rest(served, before);
  }
}

void expect_running(const ServedModel& served) {
  EXPECT_TRUE(soon([&] { return served.model.health().running > 0; }));
}

TEST(VanishedClients, WhileTokensStream) {
  expect_rest_after([](const ServedModel&, Client& client) {
    client.send(endless(true));
    client.read_until("data: ");
  });
}

TEST(VanishedClients, WhileTheyWaitForAWholeReply) {
  expect_rest_after([](const ServedModel& served, Client& client) {
    client.send(endless(false));
    expect_running(served);
  });
}

// The end of file stands behind bytes that nobody has read.
TEST(VanishedClients, BehindTheirNextRequest) {
  expect_rest_after([](const ServedModel& served, Client& client) {
    client.send(endless(false) + kShort);
    expect_running(served);
    client.send(kShort);
  });
}

TEST(VanishedClients, InTheQueue) {
  const ServedModel served;
  Client first = served.connect();
  first.send(endless(true));
  first.read_until("data: ");
  {
    std::vector<Client> queued;
    for (int i = 0; i < 6; ++i) {
      queued.push_back(served.connect());
      queued.back().send(endless(i % 2 == 0));
    }
    EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 7; }));
    for (size_t i = 0; i < queued.size(); ++i) leave(queued[i], kWays[i / 2]);
    EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 1; }));
  }
  first.read_until("data: ");
  const int64_t before = served.model.stats().generated_tokens;
  first.close();
  expect_rest(served, before);
}

TEST(VanishedClients, ThirtyAtOnce) {
  ServerOptions options = quiet_server();
  options.http.threads = 2;
  const ServedModel served(options);
  std::vector<Client> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(served.connect());
  for (size_t i = 0; i < clients.size(); ++i) clients[i].send(endless(i % 2 == 0));
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 30; }));
  const int64_t before = served.model.stats().generated_tokens;
  for (size_t i = 0; i < clients.size(); ++i) leave(clients[i], kWays[i % 3]);
  expect_rest(served, before);
}

// Before, while and after a worker prepares them.
TEST(VanishedClients, BeforeTheEngineHearsOfThem) {
  const ServedModel served;
  std::string prompts = "\"a\"";
  for (int i = 1; i < 1000; ++i) prompts += ",\"She said that it was a long time ago\"";
  const std::string request =
      post("/v1/completions", "{\"max_tokens\": 100, \"ignore_eos\": true, \"prompt\": [" + prompts + "]}");
  const int64_t before = served.model.stats().generated_tokens;
  for (int i = 0; i < 20; ++i) {
    Client client = served.connect();
    client.send(request);
    std::this_thread::sleep_for(std::chrono::milliseconds(i));
    leave(client, kWays[i % 3]);
  }
  EXPECT_TRUE(soon([&] { return served.at_rest(); }, 2 * kSoon));
  expect_rest(served, before);
}

// One who closes behind a request that is answered at once still gets the answer.
TEST(VanishedClients, AnAnswerThatIsReadyIsSent) {
  const ServedModel served;
  Client client = served.connect();
  client.send(get("/v1/models"));
  client.half_close();
  EXPECT_EQ(client.reply().status, 200);
}

}  // namespace
}  // namespace reprise::server

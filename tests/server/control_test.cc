// Pause, sleep and abort over HTTP: what is open, what its clients get, and who may do it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::string control(const std::string& name, const std::string& body = "", const std::string& fields = "") {
  return post("/v1/" + name, body, fields);
}

Json result_of(const Reply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  const Json body = Json::parse(reply.body);
  EXPECT_EQ(body.value("status", ""), "success");
  return body.at("result");
}

std::string request(const std::string& id, bool stream, int n = 1) {
  return post("/v1/completions",
              fmt::format(R"({{"prompt": "Once", "n": {}, "max_tokens": {}, "ignore_eos": true, "seed": 1,)"
                          R"( "request_id": "{}", "stream": {}}})",
                          n, kSlowness == 1 ? 480 : 120, id, stream));
}

std::string text_of(const std::string& events) {
  std::string text;
  for (size_t at = events.find("data: {"); at != std::string::npos; at = events.find("data: {", at + 1)) {
    const Json chunk = Json::parse(events.substr(at + 6, events.find('\n', at) - at - 6));
    text += chunk["choices"][0]["text"].get<std::string>();
  }
  return text;
}

int64_t steps_of(const ServedModel& served) {
  return served.model.stats().steps.total();
}

class HeldUp : public testing::TestWithParam<const char*> {};

// By pause and by sleep.
TEST_P(HeldUp, WhatIsOpenGoesOnAsIfNothingHadBeen) {
  const std::string hold = GetParam(), go = hold == "pause" ? "resume" : "wakeup";
  ServerOptions options = quiet_server();
  options.service.keep_alive_interval = 1;
  const ServedModel served(options);
  const std::string whole = text_of(served.ask(request("a", true)).body);
  ASSERT_FALSE(whole.empty());

  Client streaming = served.connect(), queued = served.connect();
  streaming.send(request("b", true));
  std::string events = streaming.read_until("data: ");
  Json state = result_of(served.ask(control(hold)));
  EXPECT_EQ(state["is_paused"], true);
  EXPECT_EQ(state["is_sleeping"], hold == "sleep");
  EXPECT_EQ(result_of(served.ask(control(hold, "{}"))), state) << "twice does nothing more";
  EXPECT_EQ(result_of(served.ask(get("/v1/is_paused"))), state);
  const int64_t steps = steps_of(served);
  queued.send(request("c", false));
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 2; }));
  events += streaming.read_until(": keep-alive\n\n");
  EXPECT_EQ(steps_of(served), steps);
  const Reply health = served.ask(get("/health"));
  EXPECT_EQ(health.status, 200);
  EXPECT_THAT(health.body, HasSubstr(hold == "pause" ? "paused" : "sleeping"));
  EXPECT_EQ(served.model.stats().free_blocks == served.model.info().kv_blocks, hold == "sleep");

  state = result_of(served.ask(control(go)));
  EXPECT_EQ(state, (Json{{"is_paused", false}, {"is_sleeping", false}}));
  events += streaming.read_until("data: [DONE]");
  EXPECT_EQ(text_of(events), whole);
  EXPECT_EQ(Json::parse(queued.reply().body)["choices"][0]["text"], whole);
  EXPECT_THAT(served.ask(get("/health")).body, HasSubstr("ok"));
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
}
INSTANTIATE_TEST_SUITE_P(By, HeldUp, testing::Values("pause", "sleep"));

TEST(Control, PauseMayEndWhatIsOpen) {
  const ServedModel served;
  Client streaming = served.connect(), whole = served.connect();
  whole.send(request("w", false, 2));
  streaming.send(request("s", true));
  streaming.read_until("data: ");
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 2; }));
  const Json result = result_of(served.ask(control("pause", R"({"mode": "abort"})")));
  EXPECT_EQ(result["is_paused"], true);
  EXPECT_EQ(result["aborted"].size(), 2u);
  EXPECT_THAT(streaming.read_until("[DONE]"), HasSubstr("\"finish_reason\":\"abort\""));
  const Json reply = Json::parse(whole.reply().body);
  for (const Json& choice : reply["choices"]) EXPECT_EQ(choice["finish_reason"], "abort");
  for (const Json& each : result["aborted"]) {
    if (each["request_id"] != reply["id"]) continue;
    EXPECT_EQ(each["output_token_count"], reply["usage"]["completion_tokens"]);
  }
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  EXPECT_EQ(served.model.health().paused, true);
}

TEST(Abort, ByTheNamesThatClientsKnow) {
  const ServedModel served;
  Client one = served.connect(), two = served.connect(), three = served.connect(), four = served.connect();
  one.send(request("one", false));
  two.send(request("two", false));
  three.send(request("same", false));
  four.send(request("same", true));
  four.read_until("data: ");
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 4; }));
  const Json result =
      result_of(served.ask(control("abort_requests", R"({"req_ids": ["one", "cmpl-same", "none"]})")));
  EXPECT_EQ(result["not_found"], Json::parse(R"(["none"])"));
  ASSERT_EQ(result["aborted"].size(), 3u);
  for (Client* client : {&one, &three}) {
    const Reply reply = client->reply();
    EXPECT_EQ(reply.status, 200);
    const Json body = Json::parse(reply.body);
    EXPECT_EQ(body["choices"][0]["finish_reason"], "abort");
    bool listed = false;
    for (const Json& each : result["aborted"])
      listed |= each["request_id"] == body["id"] &&
                each["output_token_count"] == body["usage"]["completion_tokens"];
    EXPECT_TRUE(listed) << result << body["id"];
  }
  EXPECT_THAT(four.read_until("[DONE]"), HasSubstr("\"finish_reason\":\"abort\""));
  EXPECT_EQ(Json::parse(two.reply().body)["choices"][0]["finish_reason"], "length") << "nobody named it";
  EXPECT_EQ(result_of(served.ask(control("abort_requests", R"({"req_ids": ["one"]})")))["not_found"].size(),
            1u)
      << "it is over";
}

TEST(Abort, AllAlsoWhilePaused) {
  const ServedModel served;
  result_of(served.ask(control("pause")));
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(served.connect());
    clients.back().send(endless(i % 2 == 0));
  }
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 20; }));
  const Json result = result_of(served.ask(control("abort_requests", R"({"abort_all": true})")));
  EXPECT_EQ(result["aborted"].size(), 20u);
  EXPECT_TRUE(result["not_found"].empty());
  for (Client& client : clients) EXPECT_THAT(client.reply().body, HasSubstr("\"finish_reason\":\"abort\""));
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  EXPECT_EQ(result_of(served.ask(control("abort_requests", R"({"abort_all": true})")))["aborted"].size(), 0u);
}

TEST(Control, BodiesAreUsedOrRefused) {
  const ServedModel served;
  const std::pair<const char*, const char*> bad[] = {
      {"pause", R"({"mode": "wait"})"},
      {"pause", R"({"mode": 1})"},
      {"pause", R"({"modus": "keep"})"},
      {"pause", "[]"},
      {"pause", "{"},
      {"sleep", R"({"tags": "weight"})"},
      {"resume", R"({"mode": "keep"})"},
      {"wakeup", R"({"x": 1})"},
      {"abort_requests", ""},
      {"abort_requests", "{}"},
      {"abort_requests", R"({"req_ids": []})"},
      {"abort_requests", R"({"req_ids": [1]})"},
      {"abort_requests", R"({"abort_all": "yes"})"},
      {"abort_requests", R"({"abort_all": true, "req_ids": ["a"]})"},
      {"abort_requests", R"({"request_ids": ["a"]})"},
  };
  for (const auto& [name, body] : bad) EXPECT_EQ(served.ask(control(name, body)).status, 400) << name << body;
  EXPECT_FALSE(served.model.health().paused);
  EXPECT_EQ(served.ask(get("/v1/pause")).status, 405);
  EXPECT_EQ(served.ask(post("/v1/is_paused", "")).status, 405);
}

TEST(Control, TheEndOfTheServerIsNotHeldUp) {
  for (const char* hold : {"pause", "sleep"}) {
    ServedModel served;
    Client open = served.connect();
    open.send(request("a", false));
    EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 1; }));
    result_of(served.ask(control(hold)));
    std::thread drain([&] { served.server->drain(); });
    EXPECT_EQ(Json::parse(open.reply().body)["choices"][0]["finish_reason"], "length");
    drain.join();
    EXPECT_EQ(served.ask(control(hold)).status, 503);
    EXPECT_FALSE(served.model.health().paused);
  }
  ServedModel served;
  Client open = served.connect();
  open.send(endless(false));
  EXPECT_TRUE(soon([&] { return served.model.health().open_requests == 1; }));
  result_of(served.ask(control("sleep")));
  served.server.reset();
  EXPECT_THAT(open.reply().body, HasSubstr("\"finish_reason\":\"abort\""));
}

const char* const kControls[] = {"pause", "resume", "sleep", "wakeup", "abort_requests"};

TEST(AdminKeys, AloneOpenTheDoorsOfControl) {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"user"};
  options.service.admin_api_keys = {"boss", "other"};
  const ServedModel served(options);
  for (const char* name : kControls) {
    const std::string body = "{\"abort_all\": true}";
    EXPECT_EQ(served.ask(control(name, body)).status, 401) << name;
    EXPECT_EQ(served.ask(control(name, body, "x-api-key: wrong\r\n")).status, 401) << name;
    EXPECT_EQ(served.ask(control(name, body, "x-api-key: user\r\n")).status, 403) << name;
  }
  EXPECT_EQ(served.ask(get("/v1/is_paused", "x-api-key: user\r\n")).status, 403);
  EXPECT_FALSE(served.model.health().paused);
  for (const char* key : {"Authorization: Bearer boss\r\n", "x-api-key: other\r\n"}) {
    EXPECT_EQ(served.ask(control("pause", "", key)).status, 200);
    EXPECT_EQ(served.ask(control("resume", "", key)).status, 200);
    EXPECT_EQ(served.ask(get("/v1/models", key)).status, 200) << "it opens every door";
  }
  EXPECT_EQ(served.ask(get("/v1/models", "x-api-key: user\r\n")).status, 200);
}

TEST(AdminKeys, WithoutThemTheOthersDoAndWithoutAnyNobodyNeedsOne) {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"user"};
  {
    const ServedModel served(options);
    EXPECT_EQ(served.ask(control("pause")).status, 401);
    EXPECT_EQ(served.ask(control("pause", "", "x-api-key: user\r\n")).status, 200);
  }
  options.service.api_keys = {};
  options.service.admin_api_keys = {"boss"};
  {
    const ServedModel served(options);
    EXPECT_EQ(served.ask(control("pause")).status, 401);
    EXPECT_EQ(served.ask(get("/v1/models")).status, 200);
    EXPECT_EQ(served.ask(control("pause", "", "x-api-key: boss\r\n")).status, 200);
  }
  options.service.admin_api_keys = {""};
  EXPECT_THROW(ServedModel{options}, Error);
}

TEST(Origins, PagesOfOthersDoNotControl) {
  ServerOptions options = quiet_server();
  options.service.allowed_origins = {"http://page"};
  const ServedModel served(options);
  for (const char* name : kControls)
    for (const char* origin : {"http://evil", "null", "http://page.evil"})
      EXPECT_EQ(served.ask(control(name, "", fmt::format("Origin: {}\r\n", origin))).status, 403)
          << name << origin;
  EXPECT_FALSE(served.model.health().paused);
  EXPECT_EQ(served.ask(control("pause", "", "Origin: http://page\r\n")).status, 200);
  EXPECT_EQ(served.ask(control("resume", "", "Origin: http://x\r\n")).status, served.ask(get("/ping")).status)
      << "its own page: the test's requests have x as Host";
}

}  // namespace
}  // namespace reprise::server

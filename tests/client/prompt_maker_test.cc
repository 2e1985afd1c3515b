// Prompts of a wanted length, as servers count them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/load/prompt_maker.h"
#include "core/error.h"
#include "core/json.h"
#include "tests/client/scripted_server.h"
#include "tests/server/served_model.h"

namespace reprise::client {
namespace {

using Peer = ScriptedServer::Peer;

TEST(PromptMaker, MakesExactPrompts) {
  const server::ServedModel served;
  HttpLoop loop(parse_server_url(served.server->address()));
  auto counter = TokenCounter::find(loop, "", false, nullptr);
  ASSERT_TRUE(counter.has_value());
  PromptMaker prompts(counter, {}, 1);
  std::string last;
  int exact = 0;
  for (const int64_t tokens : {2, 3, 5, 17, 50, 100, 150, 200, 300, 400}) {
    const std::string text = prompts.make(tokens);
    EXPECT_NE(text, last);
    last = text;
    const auto reply = served.ask(server::post(
        "/v1/completions", to_json_text(Json{{"prompt", text}, {"max_tokens", 1}, {"temperature", 0}})));
    const Json json = Json::parse(reply.body);
    exact += json["usage"]["prompt_tokens"] == tokens ? 1 : 0;
  }
  EXPECT_EQ(exact, 10 - prompts.inexact());
  EXPECT_LE(prompts.inexact(), 1);
  EXPECT_THROW(prompts.make(0), Error);
}

TEST(PromptMaker, SharesAPrefix) {
  const server::ServedModel served;
  HttpLoop loop(parse_server_url(served.server->address()));
  auto counter = TokenCounter::find(loop, "", false, nullptr);
  PromptMaker prompts(counter, {}, 1);
  prompts.share_prefix(100);
  const std::string one = prompts.make(150), two = prompts.make(150);
  EXPECT_NE(one, two);
  size_t same = 0;
  while (one[same] == two[same]) ++same;
  EXPECT_GE(counter->count(one.substr(0, same)), 98);
  EXPECT_EQ(counter->count(one), 150);
  EXPECT_THROW(prompts.make(90), Error);
}

TEST(PromptMaker, IsTheSameForASeed) {
  const server::ServedModel served;
  HttpLoop loop(parse_server_url(served.server->address()));
  const auto make = [&](uint64_t seed) {
    return PromptMaker(TokenCounter::find(loop, "", false, nullptr), {}, seed).make(40);
  };
  EXPECT_EQ(make(1), make(1));
  EXPECT_NE(make(1), make(2));
}

TEST(TokenCounter, SpeaksTheFormOfLlamaCpp) {
  // Of one token a word, and one before.
  const ScriptedServer server([](Peer& peer, int, int, const std::string& request) {
    const Json body = Json::parse(request.substr(request.find("\r\n\r\n") + 4));
    if (request.starts_with("POST /detokenize") && body.contains("tokens")) {
      std::string text;
      for (const Json& id : body["tokens"]) text += id == 1 ? " word" : "";
      peer.send(reply_with(to_json_text(Json{{"content", text}})));
      return true;
    }
    std::vector<int> tokens;
    if (body.value("add_special", false)) tokens.push_back(0);
    for (const char c : body.value("content", std::string()))
      if (c == ' ') tokens.push_back(1);
    peer.send(reply_with(to_json_text(Json{{"tokens", tokens}})));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()));
  auto counter = TokenCounter::find(loop, "m", true, nullptr);
  ASSERT_TRUE(counter.has_value());
  EXPECT_EQ(counter->count(" a b c"), 4);
  EXPECT_EQ(counter->tokens(" a b c").size(), 3U);
  EXPECT_EQ(counter->count(PromptMaker(counter, {}, 0).make(12)), 12);
}

TEST(TokenCounter, IsNotFoundWhereThereIsNone) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send(reply_with("{\"error\": \"no\"}", 404));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()));
  EXPECT_FALSE(TokenCounter::find(loop, "m", false, nullptr).has_value());
  PromptMaker words(std::nullopt, {.of_empty = 1, .of_word = 2}, 0);
  const std::string text = words.make(21);
  EXPECT_EQ(std::count(text.begin(), text.end(), ' '), 10);
}

}  // namespace
}  // namespace reprise::client

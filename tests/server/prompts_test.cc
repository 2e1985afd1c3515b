// What a request may do to its prompt: a chat template of its own, and the prefix cache.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;

Json chat_with(const std::string& chat_template) {
  return {{"messages",
           {{{
                 "role",
                 "user",
             },
             {"content", "Mr. Darcy"}}}},
          {"chat_template", chat_template}};
}

std::string prompt_of(const ServedModel& served, const Json& chat) {
  const Reply tokens = served.ask(post("/tokenize", chat.dump()));
  if (tokens.status != 200) return tokens.body;
  const Reply text =
      served.ask(post("/detokenize", Json{{"tokens", Json::parse(tokens.body).at("tokens")}}.dump()));
  return Json::parse(text.body).at("prompt");
}

TEST(ChatTemplateOfARequest, IsUsedInPlaceOfTheModelsOwn) {
  const ServedModel served;
  EXPECT_EQ(
      prompt_of(served,
                chat_with("It was {{ messages[0].content }}{% if add_generation_prompt %} and{% endif %}")),
      "It was Mr. Darcy and");
  Json chat = chat_with("{{ word }}");
  chat["chat_template_kwargs"] = {{"word", "Elizabeth"}};
  EXPECT_EQ(prompt_of(served, chat), "Elizabeth");
  chat.update({{"max_tokens", 2}, {"seed", 1}, {"return_token_ids", true}});
  const Reply reply = served.ask(post("/v1/chat/completions", chat.dump()));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const Json plain = {{"prompt", "Elizabeth"}, {"max_tokens", 2}, {"seed", 1}};
  const Reply same = served.ask(post("/v1/completions", plain.dump()));
  EXPECT_EQ(Json::parse(reply.body)["choices"][0]["message"]["content"],
            Json::parse(same.body)["choices"][0]["text"]);
}

TEST(ChatTemplateOfARequest, ThatIsHostileIsRefusedWhileOthersGoOn) {
  const ServedModel served;
  for (const char* hostile :
       {"{% for i in range(100000000) %}{% for j in range(100000000) %}x{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ 'x' * 1000000000 }}", "{% if %}",
        "{{ messages.__class__ }}", "{{ raise_exception('no') }}"}) {
    SCOPED_TRACE(hostile);
    Json chat = chat_with(hostile);
    Client client = served.connect();
    client.send(post("/v1/chat/completions", chat.dump()));
    EXPECT_EQ(served.ask(kShort).status, 200);
    const Reply reply = client.reply();
    if (std::string(hostile).find("__class__") == std::string::npos) {
      EXPECT_EQ(reply.status, 400) << reply.body;
    }
    EXPECT_NE(reply.status, 500) << reply.body;
  }
  EXPECT_THAT(served.ask(post("/v1/chat/completions", chat_with("{% if %}").dump())).body,
              HasSubstr("[chat template] line 1"));
  EXPECT_THAT(
      served.ask(post("/v1/chat/completions", Json{{"messages", Json::array()}, {"chat_template", 1}}.dump()))
          .body,
      HasSubstr("[chat_template]"));
}

TEST(ChatTemplateOfARequest, MayBeSwitchedOff) {
  const ServedModel served;
  const Json same = {{"max_tokens", 4}, {"seed", 1}, {"return_token_ids", true}};
  Json plain = {{"prompt", "It was Mr. Darcy"}};
  plain.update(same);
  const Json expected = Json::parse(served.ask(post("/v1/completions", plain.dump())).body)["choices"][0];
  for (const Json& content :
       {Json("It was Mr. Darcy"), Json{{{"type", "text"}, {"text", "It was Mr. Darcy"}}}}) {
    Json chat = {{"messages", {{{"role", "user"}, {"content", content}}}}, {"disable_chat_template", true}};
    chat.update(same);
    const Reply reply = served.ask(post("/v1/chat/completions", chat.dump()));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Json choice = Json::parse(reply.body)["choices"][0];
    EXPECT_EQ(choice["prompt_token_ids"], expected["prompt_token_ids"]);
    EXPECT_EQ(choice["message"]["content"], expected["text"]);
  }
  const Json ids = {{"messages", {1, 2}}, {"disable_chat_template", true}, {"max_tokens", 1}};
  EXPECT_EQ(served.ask(post("/v1/chat/completions", ids.dump())).status, 200);
}

TEST(PrefixCacheOfAServer, IsToldInUsageAndKeptApartBySalt) {
  const ServedModel served;
  const auto cached = [&](const Json& more) {
    Json body = {{"prompt", std::vector<int>(200, 7)}, {"max_tokens", 2}, {"seed", 3}};
    body.update(more);
    const Reply reply = served.ask(post("/v1/completions", body.dump()));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body)["usage"]["prompt_tokens_details"]["cached_tokens"].get<int>();
  };
  EXPECT_EQ(cached(Json::object()), 0);
  EXPECT_EQ(cached(Json::object()), 192);
  EXPECT_EQ(cached({{"cache_salt", "a"}}), 0);
  EXPECT_EQ(cached({{"cache_salt", "a"}}), 192);
  EXPECT_EQ(cached({{"echo", true}, {"logprobs", 1}}), 0) << "scores of a prompt are computed";
  Json streamed = {{"prompt", std::vector<int>(200, 7)},
                   {"max_tokens", 2},
                   {"stream", true},
                   {"stream_options", {{"include_usage", true}}}};
  Client client = served.connect();
  client.send(post("/v1/completions", streamed.dump()));
  EXPECT_THAT(client.read_until("[DONE]"), HasSubstr("\"cached_tokens\":192"));
  const Reply salted = served.ask(
      post("/v1/completions", Json{{"prompt", "x"}, {"cache_salt", std::string(257, 's')}}.dump()));
  EXPECT_EQ(salted.status, 400);
  EXPECT_THAT(salted.body, HasSubstr("[cache_salt]"));
  const Reply metrics = served.ask(get("/metrics"));
  EXPECT_THAT(metrics.body, HasSubstr("reprise:prefix_cache_hits_total 576"));
}

}  // namespace
}  // namespace reprise::server

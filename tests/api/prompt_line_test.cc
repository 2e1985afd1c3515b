#include "api/prompt_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise::api {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& line) {
  try {
    parse_prompt_line(line, {});
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(PromptLine, AcceptsEachForm) {
  EXPECT_EQ(parse_prompt_line("\"hi\"", {}).text, "hi");
  EXPECT_EQ(parse_prompt_line(R"({"prompt":"hi","top_k":3})", {}).sampling.top_k, 3);
  EXPECT_THAT(parse_prompt_line(R"({"prompt_token_ids":[1,2]})", {}).token_ids, testing::ElementsAre(1, 2));
  EXPECT_NE(parse_prompt_line(R"({"messages":[{"role":"user","content":"x"}]})", {}).messages_json, "");
}

TEST(PromptLine, TakesWhatAChatTemplateSees) {
  const Prompt prompt =
      parse_prompt_line(R"({"messages":[],"tools":[{"a":1}],"documents":null,"add_generation_prompt":false,)"
                        R"("chat_template_kwargs":{"enable_thinking":false}})",
                        {});
  EXPECT_EQ(prompt.tools_json, R"([{"a":1}])");
  EXPECT_EQ(prompt.documents_json, "");
  EXPECT_EQ(prompt.chat_template_kwargs_json, R"({"enable_thinking":false})");
  EXPECT_FALSE(prompt.add_generation_prompt);
  EXPECT_TRUE(parse_prompt_line(R"({"messages":[]})", {}).add_generation_prompt);
}

TEST(PromptLine, RefusesWithTheFieldsName) {
  EXPECT_THAT(error_of("{}"), HasSubstr("exactly one"));
  EXPECT_THAT(error_of(R"({"prompt":"a","messages":[]})"), HasSubstr("exactly one"));
  EXPECT_THAT(error_of(R"({"prompt":"a","temprature":1})"), HasSubstr("temprature"));
  EXPECT_THAT(error_of(R"({"prompt_token_ids":["a"]})"), HasSubstr("prompt_token_ids"));
  EXPECT_THAT(error_of(R"({"prompt_token_ids":[18446744073709551615]})"), HasSubstr("18446744073709551615"));
  EXPECT_THAT(error_of("[1"), HasSubstr("malformed"));
  EXPECT_THAT(error_of("3"), HasSubstr("[prompt line] is 3"));
  EXPECT_THAT(error_of(R"({"messages":"x"})"), HasSubstr("[messages] is \"x\", expected a list"));
  EXPECT_THAT(error_of(R"({"messages":null})"), HasSubstr("[messages]"));
  EXPECT_THAT(error_of(R"({"messages":[],"tools":{}})"), HasSubstr("[tools] is {}, expected a list"));
  EXPECT_THAT(error_of(R"({"messages":[],"documents":1})"), HasSubstr("[documents] is 1"));
  EXPECT_THAT(error_of(R"({"messages":[],"add_generation_prompt":1})"), HasSubstr("[add_generation_prompt]"));
  EXPECT_THAT(error_of(R"({"messages":[],"chat_template_kwargs":[]})"), HasSubstr("[chat_template_kwargs]"));
  EXPECT_THAT(error_of(R"({"prompt":"a","tools":[]})"), HasSubstr("[tools] is for a chat"));
  EXPECT_THAT(error_of(R"({"prompt":"a","n":20000000})"), HasSubstr("[n] is 20000000"));
  EXPECT_THAT(error_of(R"({"prompt":"a","min_tokens":5,"max_tokens":4})"), HasSubstr("min_tokens is 5"));
  EXPECT_THAT(error_of(R"({"prompt":"a","temperature":1e400})"), HasSubstr("1e400"));
  EXPECT_THAT(error_of(R"({"prompt":"a","temperature":NaN})"), HasSubstr("malformed"));
}

}  // namespace
}  // namespace reprise::api

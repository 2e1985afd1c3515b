#include "api/prompt_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise::api {
namespace {

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

TEST(PromptLine, RefusesWithTheFieldsName) {
  EXPECT_THAT(error_of("{}"), testing::HasSubstr("exactly one"));
  EXPECT_THAT(error_of(R"({"prompt":"a","messages":[]})"), testing::HasSubstr("exactly one"));
  EXPECT_THAT(error_of(R"({"prompt":"a","temprature":1})"), testing::HasSubstr("temprature"));
  EXPECT_THAT(error_of(R"({"prompt_token_ids":["a"]})"), testing::HasSubstr("prompt_token_ids"));
  EXPECT_THAT(error_of("[1"), testing::HasSubstr("malformed"));
  EXPECT_THAT(error_of("3"), testing::HasSubstr("neither"));
}

}  // namespace
}  // namespace reprise::api

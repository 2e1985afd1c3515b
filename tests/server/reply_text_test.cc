// JSON that is written without a tree, read again by a parser.
#include "server/reply_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "core/json.h"
#include "tokenizer/utf8.h"

namespace reprise::server {
namespace {

std::string json_of(std::string_view text) {
  std::string to;
  append_json_string(to, text);
  return to;
}

void expect_read_again(const std::string& text) {
  const Json read = Json::parse(json_of(text));
  EXPECT_EQ(read.get<std::string>(), tokenizer::replace_invalid_utf8(text));
}

TEST(ReplyText, EveryByteAndPairOfBytes) {
  for (int a = 0; a < 256; ++a) {
    expect_read_again(std::string(1, static_cast<char>(a)));
    for (int b = 0; b < 256; ++b) expect_read_again({static_cast<char>(a), static_cast<char>(b)});
  }
  EXPECT_EQ(json_of("a\"\\\n\r\t\x01\x7f\xc3\xa4"), "\"a\\\"\\\\\\n\\r\\t\\u0001\x7f\xc3\xa4\"");
}

TEST(ReplyText, RandomBytesAndRandomCharacters) {
  std::mt19937 random(7);
  const char* pieces[] = {"a",
                          "\"",
                          "\\",
                          "\n",
                          "\x1f",
                          "\xc3\xa4",
                          "\xe2\x80\xa8",
                          "\xf0\x9f\x98\x80",
                          "\xed\xa0\x80",
                          "\xf4\x90\x80\x80",
                          "\xe2\x82",
                          "\xff",
                          "</script>"};
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes, text;
    for (size_t k = random() % 24; k > 0; --k) {
      bytes.push_back(static_cast<char>(random() % 256));
      text += pieces[random() % std::size(pieces)];
    }
    expect_read_again(bytes);
    expect_read_again(text);
  }
}

TEST(ReplyText, LogProbabilitiesComeBackExactly) {
  std::mt19937 random(3);
  for (int i = 0; i < 100'000; ++i) {
    const float value = -std::ldexp(static_cast<float>(random()), -static_cast<int>(random() % 60));
    std::string to;
    append_logprob(to, value);
    EXPECT_EQ(static_cast<float>(Json::parse(to).get<double>()), value) << to;
  }
  for (const float value :
       {-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::string to;
    append_logprob(to, value);
    EXPECT_EQ(Json::parse(to), -9999.0);
  }
}

TEST(ReplyText, ListsWithoutATokenizer) {
  const std::vector<TokenLogprob> logprobs = {{5, -0.5f, {{5, -0.5f}, {6, -1.5f}}}, {7, -2, {}}};
  std::string to;
  append_chat_logprobs(to, logprobs, nullptr);
  const Json chat = Json::parse(to);
  ASSERT_EQ(chat.size(), 2u);
  EXPECT_EQ(chat[0]["token"], "token_id:5");
  EXPECT_EQ(chat[0]["bytes"].size(), 10u);
  EXPECT_EQ(chat[0]["top_logprobs"][1]["logprob"], -1.5);
  EXPECT_TRUE(chat[1]["top_logprobs"].empty());
  to.clear();
  int64_t offset = 3;
  append_completion_logprobs(to, logprobs, nullptr, offset, true);
  const Json completion = Json::parse(to);
  EXPECT_TRUE(completion["token_logprobs"][0].is_null() && completion["top_logprobs"][0].is_null());
  EXPECT_EQ(completion["token_logprobs"][1], -2.0);
  EXPECT_EQ(completion["text_offset"], Json({3, 13}));
  EXPECT_EQ(offset, 23);
  to.clear();
  append_ids(to, {});
  append_ids(to, {1, -2, 2147483647});
  EXPECT_EQ(to, "[][1,-2,2147483647]");
}

}  // namespace
}  // namespace reprise::server

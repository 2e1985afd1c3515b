#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "core/error.h"

namespace reprise {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_json(text, "document");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(to_json_text(parse_json(R"({"b":1,"a":2})", "x")), R"({"b":1,"a":2})");
}

TEST(Json, ErrorsNameTheDocument) {
  EXPECT_THAT(error_of("{\"a\": tru}"), testing::HasSubstr("document: malformed JSON"));
  EXPECT_THAT(error_of("{} {}"), testing::HasSubstr("malformed"));
  EXPECT_THAT(error_of("\"\xff\""), testing::HasSubstr("malformed"));
  EXPECT_THAT(error_of(""), testing::HasSubstr("malformed"));
}

TEST(Json, OfEqualKeysTheLastCounts) {
  EXPECT_EQ(to_json_text(parse_json(R"({"a":1,"b":[{"a":2}],"a":{"c":3,"c":4}})", "x")),
            R"({"a":{"c":4},"b":[{"a":2}]})");
}

// Minutes where each new key was compared with all before it; now they are some tens of milliseconds.
TEST(Json, ManyKeysInOneObjectTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += fmt::format("\"key{}\":{},", i, i);
  text.back() = '}';
  const std::clock_t begin = std::clock();  // processor time: a busy machine fails nothing
  const Json json = parse_json(text, "document");
  EXPECT_LT(std::clock() - begin, 10 * CLOCKS_PER_SEC);
  EXPECT_EQ(json.size(), 200'000u);
  EXPECT_EQ(json.back(), 199'999);
}

TEST(Json, DepthIsCapped) {
  EXPECT_THAT(error_of(std::string(1'000'000, '[')), testing::HasSubstr("nested deeper than 256"));
  EXPECT_EQ(error_of("\"" + std::string(1000, '[') + "\""), "");  // brackets in a string are text
  EXPECT_EQ(error_of(std::string(256, '[') + std::string(256, ']')), "");
}

TEST(Json, InvalidUtf8IsReplacedWhenWritten) {
  EXPECT_EQ(to_json_text(Json("\xff")), "\"\xEF\xBF\xBD\"");
}

TEST(ReadFile, SaysWhatIsWrong) {
  EXPECT_THROW(read_file("/does/not/exist"), Error);
  EXPECT_THROW(read_file("/tmp"), Error);
}

}  // namespace
}  // namespace reprise

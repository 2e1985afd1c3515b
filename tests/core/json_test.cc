#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(Json, DepthIsCappedBeforeAnythingIsBuilt) {
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

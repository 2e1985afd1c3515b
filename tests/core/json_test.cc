#include "core/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <ctime>
#include <unordered_map>

#include "core/error.h"

namespace reprise {
namespace {

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "document", limits);
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

// The times of this file are those of this thread, so that a busy machine fails nothing.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}
#ifdef REPRISE_SANITIZED
constexpr double kSlower = 10;
#else
constexpr double kSlower = 1;
#endif

// The multiplicative inverse of `odd` modulo 2^64, by Newton's iteration.
uint64_t inverse(uint64_t odd) {
  uint64_t x = odd;
  for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
  return x;
}

// A key of 8 bytes without quotes, backslashes and bytes outside ASCII, whose std::hash (libstdc++'s
// MurmurHash64A with its fixed seed) is `hash` modulo `buckets`; empty where the bytes chosen at random are
// not of that kind.
std::string colliding_key(uint64_t hash_value) {
  constexpr uint64_t kMul = (uint64_t{0xc6a4a793} << 32) + 0x5bd1e995u;
  constexpr uint64_t kSeed = 0xc70f6907u;
  const uint64_t unmul = inverse(kMul);
  const auto unshift = [](uint64_t x) { return x ^ (x >> 47); };
  uint64_t h = unshift(hash_value);
  h = unshift(h * unmul);
  h = h * unmul;  // the state after the only word
  uint64_t word = h ^ (kSeed ^ (8 * kMul));
  word = unshift(word * unmul) * unmul;
  std::string key(8, '\0');
  std::memcpy(key.data(), &word, 8);
  for (char c : key)
    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) return {};
  return key;
}

// 20,000 keys that std::hash puts into one bucket took 7 seconds, 40,000 more than 24.
TEST(Json, CollidingKeysTakeLinearTime) {
  // A prime number of buckets, as libstdc++ has while it holds 20,000 to 26,267 keys.
  std::unordered_map<std::string, int> map;
  for (int i = 0; i < 20'000; ++i) map.emplace(std::to_string(i), i);
  const uint64_t buckets = map.bucket_count();
  std::string text = "{";
  size_t keys = 0;
  for (uint64_t i = 0; keys < 20'000; ++i) {
    const std::string key = colliding_key(buckets * (i * 0x9e3779b97f4a7c15u / buckets));
    if (key.empty()) continue;
    if (keys == 0 && std::hash<std::string>{}(key) % buckets != 0)
      GTEST_SKIP() << "another std::hash than that of 64-bit libstdc++";
    text += fmt::format("{}\"{}\":1", keys++ == 0 ? "" : ",", key);
  }
  const double begin = thread_seconds();
  const Json json = parse_json(text + "}", "document");
  EXPECT_LT(thread_seconds() - begin, 0.5 * kSlower);
  EXPECT_GE(json.size(), 19'990u);
}

// Keys after a large value made the container grow, and each growth copied what was below: with nesting,
// every level again.
TEST(Json, NestedValuesAreNotCopiedAtEveryLevel) {
  std::string inner = "[";
  for (int i = 0; i < 50'000; ++i) inner += "\"some text that needs an allocation\",";
  inner.back() = ']';
  std::string text = std::move(inner);
  for (int level = 0; level < 200; ++level) text = "{\"a\":" + text + ",\"b\":1,\"c\":2,\"d\":3,\"e\":4}";
  const double begin = thread_seconds();
  parse_json(text, "document");
  EXPECT_LT(thread_seconds() - begin, 0.5 * kSlower);
}

TEST(Json, KeysAndBytesAreCapped) {
  EXPECT_THAT(error_of(R"({"a":1,"b":2,"c":3})", {.max_keys_per_object = 2}),
              testing::HasSubstr("document: an object has more than 2 keys"));
  EXPECT_EQ(error_of(R"({"a":1,"b":{"c":3,"d":4}})", {.max_keys_per_object = 2}), "");
  EXPECT_THAT(error_of("[1,2,3]", {.max_bytes = 6}), testing::HasSubstr("7 bytes of JSON, at most 6"));
  EXPECT_THAT(error_of(R"({"a":1,"a":2})", {.unique_keys = true}),
              testing::HasSubstr("\"a\" is given twice"));
}

TEST(Json, ErrorsSayWhereInTheText) {
  EXPECT_THAT(error_of("{\n  \"a\": 1\n  \"b\": 2}"),
              testing::HasSubstr("malformed JSON at line 3, column 3: expected ',' or '}'"));
  EXPECT_THAT(error_of("[1,"), testing::HasSubstr("the text ends too early"));
  EXPECT_THAT(error_of("[1] 2"), testing::HasSubstr("something follows the value"));
}

// Accepted and refused as RFC 8259 says.
TEST(Json, AcceptsJsonAndNothingElse) {
  for (std::string_view right :
       {"0", "-0", "-1.5e+3", "1E9", "\"\\u00e9\\ud83d\\ude00\\/\"", " [ ] ", "{\"\":{}}", "\xEF\xBB\xBFtrue",
        "\"\x7f\"", "\"\xf4\x8f\xbf\xbf\"", "1e-400", "[[],[[]]]"})
    EXPECT_EQ(error_of(right), "") << right;
  for (std::string_view wrong : {"",
                                 " ",
                                 "01",
                                 "+1",
                                 ".5",
                                 "1.",
                                 "1e",
                                 "-",
                                 "--1",
                                 "0x10",
                                 "'a'",
                                 "[1,]",
                                 "{,}",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "nul",
                                 "True",
                                 "\"a",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\u 123\"",
                                 "\"\\ud800\"",
                                 "\"\\ud800\\u0041\"",
                                 "\"\\udc00\"",
                                 "\"\n\"",
                                 "NaN",
                                 "-Infinity",
                                 "1e400",
                                 "\"\xc0\x80\"",
                                 "\"\xed\xa0\x80\"",
                                 "\"\xf4\x90\x80\x80\"",
                                 "\"\xc3\"",
                                 "/**/1",
                                 "[1 2]",
                                 "{\"a\" 1}",
                                 "\"\\u-123\"",
                                 "]",
                                 "{]"})
    EXPECT_THAT(error_of(wrong), testing::HasSubstr("malformed JSON")) << wrong;
  EXPECT_EQ(parse_json("\"\\u00e9\\ud83d\\ude00\\u0000\\b\"", "x"), std::string("\u00e9\U0001F600\0\b", 8));
}

// The numbers are those of the library's own parser, to the last bit and with the same types.
TEST(Json, NumbersAreThoseOfTheLibrary) {
  for (std::string_view number :
       {"0", "-0", "-1", "9223372036854775807", "-9223372036854775808", "18446744073709551615",
        "18446744073709551616", "-9223372036854775809", "0.1", "-0.0", "1e23", "5e-324", "1e-400",
        "2.2250738585072011e-308", "179769313486231570e291", "123456789012345678901234567890"}) {
    const Json ours = parse_json(number, "x");
    const Json library = Json::parse(number);
    EXPECT_EQ(ours.type(), library.type()) << number;
    EXPECT_EQ(to_json_text(ours), to_json_text(library)) << number;
    EXPECT_EQ(ours, library) << number;
  }
}

TEST(Json, NonfiniteNumbersOfPythonAreReadWhereAllowed) {
  const Json json =
      parse_json(R"({"a":NaN,"b":[Infinity,-Infinity],"c":1e400,"d":-1e999999999999999999999,"e":0e99999,
      "f":1e-99999999999999999999})",
                 "x", kCheckpointJson);
  EXPECT_TRUE(std::isnan(json["a"].get<double>()));
  EXPECT_EQ(json["b"][0], HUGE_VAL);
  EXPECT_EQ(json["b"][1], -HUGE_VAL);
  EXPECT_EQ(json["c"], HUGE_VAL);
  EXPECT_EQ(json["d"], -HUGE_VAL);
  EXPECT_EQ(json["e"], 0.0);
  EXPECT_EQ(json["f"], 0.0);
  EXPECT_THAT(error_of("[Infinit]", kCheckpointJson), testing::HasSubstr("malformed"));
}

TEST(Json, IntegersOfAnySizeAreKeptWhereAsked) {
  const std::string digits = "-1" + std::string(400, '7');
  const Json json = parse_json("[" + digits + ",18446744073709551615,1.5]", "x", {.exact_integers = true});
  EXPECT_EQ(big_integer_digits(json[0]), digits);
  EXPECT_EQ(big_integer_digits(json[1]), std::nullopt);
  EXPECT_EQ(big_integer_digits(json[2]), std::nullopt);
  EXPECT_FALSE(json[0].is_number());
  const std::string written =
      R"({"a":[36893488147419103232,{},[],"\u001f"],"b\"":{"c":-36893488147419103232}})";
  EXPECT_EQ(to_json_text(parse_json(written, "x", {.exact_integers = true})), written);
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

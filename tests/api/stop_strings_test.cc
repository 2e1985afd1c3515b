#include "api/stop_strings.h"

#include <gtest/gtest.h>

namespace reprise::api {
namespace {

// Pushes text byte by byte.
std::string by_bytes(StopStrings& stop, const std::string& text) {
  std::string out;
  for (const char c : text) out += stop.push(std::string(1, c));
  return out;
}

TEST(StopStrings, WithoutStringsTextPassesAtOnce) {
  StopStrings stop({}, false);
  EXPECT_EQ(stop.push("abc"), "abc");
  EXPECT_EQ(stop.flush(), "");
  EXPECT_FALSE(stop.matched());
}

TEST(StopStrings, CutsAtTheMatchHoweverThePiecesFall) {
  for (const bool include : {false, true}) {
    StopStrings whole({"END"}, include);
    EXPECT_EQ(whole.push("one END two"), include ? "one END" : "one ");
    StopStrings bytes({"END"}, include);
    EXPECT_EQ(by_bytes(bytes, "one END two"), include ? "one END" : "one ");
    EXPECT_TRUE(bytes.matched());
    EXPECT_EQ(bytes.flush(), "");
    EXPECT_EQ(bytes.push("more"), "");
  }
}

TEST(StopStrings, HoldsBackOnlyWhatMayBecomeAStop) {
  StopStrings stop({"aab"}, false);
  EXPECT_EQ(stop.push("xaa"), "x");
  EXPECT_EQ(stop.push("a"), "a");  // "aa" is still held
  EXPECT_EQ(stop.push("c"), "aac");
  EXPECT_EQ(stop.push("aa"), "");
  EXPECT_EQ(stop.flush(), "aa");
}

TEST(StopStrings, EarliestMatchWinsAndEmptyStringsAreIgnored) {
  StopStrings stop({"", "three", "two"}, false);
  EXPECT_EQ(stop.push("one two three"), "one ");
}

TEST(StopStrings, NeverSplitsACharacter) {
  StopStrings stop({"\xA9x"}, false);  // begins inside of "é"
  EXPECT_EQ(stop.push("a\xC3\xA9"), "a");
  EXPECT_EQ(stop.push("b"),
            "\xC3\xA9"
            "b");
}

}  // namespace
}  // namespace reprise::api

#include "codegen/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise::codegen {
namespace {

constexpr std::string_view kText =
    "chunks 2: T 1 0.0310 us, T 16 5.0000 us, T 512 170.0000 us\n"
    "chunks 4: T 1 0.0200 us, T 16 6.0000 us, T 512 180.0000 us\n"
    "parts: T 1 0.0400 us, T 16 12.0000 us, T 512 360.0000 us\n";

TEST(Verdict, GivesBackWhatWasWritten) {
  const Verdict verdict = parse_verdict(kText);
  EXPECT_EQ(verdict.tokens, (std::vector<int64_t>{1, 16, 512}));
  ASSERT_EQ(verdict.variants.size(), 2u);
  EXPECT_EQ(verdict.variants[1], (Verdict::Timing{"chunks 4", {0.02, 6.0, 180.0}}));
  EXPECT_EQ(verdict.parts, (Verdict::Timing{"parts", {0.04, 12.0, 360.0}}));
  EXPECT_EQ(print(verdict), kText);
  EXPECT_EQ(parse_verdict(print(verdict)), verdict);
}

TEST(Verdict, TheLeastGeometricMeanWins) {
  Verdict verdict = parse_verdict(kText);
  EXPECT_EQ(verdict.best().name, "chunks 4");  // chunks 2 is faster in two of three
  EXPECT_NEAR(verdict.of_parts(), 0.5, 1e-9);
  EXPECT_EQ(verdict.summary(), "chunks 4 takes 0.50 of the time of its parts");
  EXPECT_EQ(
      verdict.times(),
      "0.0200 us beside 0.0400 at T 1, 6.0000 us beside 12.0000 at T 16, 180.0000 us beside 360.0000 at T 512");
  EXPECT_FALSE(verdict.stays_in_parts());
  verdict.parts.us = {0.0201, 6.1, 180.0};  // less than 1 % is noise
  EXPECT_TRUE(verdict.stays_in_parts());
  verdict.parts.us = {0.021, 6.3, 189.0};
  EXPECT_FALSE(verdict.stays_in_parts());
}

TEST(Verdict, EveryOtherFormIsRefused) {
  const std::string text(kText);
  for (size_t cut = 0; cut < text.size(); ++cut)
    EXPECT_THROW(parse_verdict(text.substr(0, cut)), Error) << cut;
  const auto with = [&](std::string_view was, std::string_view is) {
    std::string changed = text;
    changed.replace(changed.find(was), was.size(), is);
    return changed;
  };
  for (const std::string& changed :
       {with("0.0310", "0.031"), with("0.0310", "-0.0310"), with("0.0310", "0.0000"), with("0.0310", "nan"),
        with("0.0310", "inf"), with("0.0310", "00.0310"), with("T 16 ", "T 15 "), with("T 16", "T 1"),
        with("T 16", "T +16"), with(" us", " ms"), with("parts", "part"), with("chunks 2", "parts"),
        with("chunks 2", ""), with("170.0000 us", "170.0000 us, T 600 1.0000 us"), text + "\n", text + text,
        "parts: T 1 0.0310 us\n" + std::string(), "chunks 4: T 1 0.0310 us\n" + std::string()})
    EXPECT_THROW(parse_verdict(changed), Error) << changed;
}

}  // namespace
}  // namespace reprise::codegen

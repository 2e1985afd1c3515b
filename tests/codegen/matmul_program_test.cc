// Matmuls and what stands around them in one launch, interpreted, against the ops one by one: bits. Generated code is
// compared by the same generator in llvm/matmul_code_test.cc.
#include "codegen/matmul_program.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "graph/text.h"
#include "tests/codegen/random_matmul.h"
#include "tests/loop/seeds.h"

namespace reprise::codegen {
namespace {

constexpr int kParts = 4;
constexpr uint64_t kUsual = 1200;

class MatmulProgram : public testing::TestWithParam<int> {};

TEST_P(MatmulProgram, RandomGroupsHaveTheBitsOfTheirOpsOneByOne) {
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(kUsual, kParts);
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed) {
    loop::Choices choices(seed);
    const RandomGroup group = random_matmul_group(choices);
    for (const Isa level : cpu::available_isas())
      ASSERT_EQ(difference_of_matmul(group, nullptr, level, choices, scratch, choices.one_in(2)), "")
          << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MatmulProgram, testing::Range(0, kParts));

TEST(MatmulText, ParsesWhatItPrintsAndNothingElse) {
  int parsed = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    loop::Choices choices(seed);
    const RandomGroup group = random_matmul_group(choices);
    const std::string text = loop::print(matmul_of(group.graph, group.group));
    EXPECT_EQ(loop::print(loop::parse_matmul(text)), text);
    for (size_t i = 0; i < text.size(); i += 1 + choices.below(9)) {
      std::string damaged = text;
      damaged[i] = "~1\n -"[choices.below(5)];
      for (const std::string& wrong : {damaged, text.substr(0, i)}) {
        try {
          EXPECT_EQ(loop::print(loop::parse_matmul(wrong)), wrong);
          ++parsed;
        } catch (const Error&) {
        }
      }
    }
  }
  EXPECT_GT(parsed, 10);  // other names and numbers
}

std::string refusal(const std::string& text) {
  try {
    loop::parse_matmul(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(MatmulText, SaysWhatIsWrong) {
  const std::string program =
      "loop f columns 64\na float32 row\nb float32 row written\nlanes\n%0 = load a\nstore b %0\n";
  const auto text = [&](std::string_view k, std::string_view segment, std::string_view rest) {
    return fmt::format("matmul m float32 to float32 k {}\nsegment {}\n{}", k, segment, rest);
  };
  const std::string plain = text("64 buffers 3", "32 weight 1 bias -1 out 2", "x: 0\n");
  EXPECT_EQ(refusal(plain), "nothing");
  EXPECT_EQ(refusal(text("64 buffers 3", "64 weight 1 bias -1 out -1", "x: 0\nafter: -1 2\n" + program)),
            "nothing");
  EXPECT_EQ(refusal(text("64 buffers 3", "64 weight 1 bias -1 out 2", "before: 0 -1\n" + program)),
            "nothing");
  const std::pair<std::string, std::string> kWrong[] = {
      {"", "expected 'matmul '"},
      {text("0 buffers 3", "32 weight 1 bias -1 out 2", "x: 0\n"), "k is 0"},
      {text("48001 buffers 3", "32 weight 1 bias -1 out 2", "x: 0\n"), "k is 48001"},
      {text("64 buffers 16", "32 weight 1 bias -1 out 2", "x: 0\n"), "16 buffers"},
      {text("64 buffers 3", "0 weight 1 bias -1 out 2", "x: 0\n"), "a segment of 0 columns"},
      {text("64 buffers 3", "32 weight 3 bias -1 out 2", "x: 0\n"), "there is no buffer 3"},
      {text("64 buffers 3", "32 weight 1 bias -1 out 1", "x: 0\n"), "buffer 1 is read and written"},
      {text("64 buffers 4", "32 weight 1 bias -1 out 2", "x: 0\n"), "buffer 3 is not used"},
      {text("64 buffers 3", "32 weight 1 bias -1 out -1", "x: 0\n"), "results are read behind the product"},
      {text("64 buffers 3", "32 weight 1 bias -1 out 2", ""), "come from one place"},
      {text("63 buffers 3", "64 weight 1 bias -1 out 2", "before: 0 -1\n" + program),
       "64 columns before k 63"},
      {text("64 buffers 4", "64 weight 1 bias -1 out 2", "before: 0 3\n" + program), "0 times"},
      {text("64 buffers 2", "64 weight 0 bias -1 out 1", "before: -1 -1\n" + program), "is not the rows"},
      {text("64 buffers 3", "63 weight 1 bias -1 out -1", "x: 0\nafter: -1 2\n" + program),
       "behind a segment of 63"},
      {text("64 buffers 3", "64 weight 1 bias -1 out -1", "x: 0\nafter: 0 2\n" + program),
       "does not begin with"},
      {text("64 buffers 3", "64 weight 1 bias -1 out -1", "x: 0\nafter: -2 2\n" + program), "is no result"},
      {text("64 buffers 3", "64 weight 1 bias -1 out -1", "x: 0\nafter: -1\n" + program),
       "1 numbers of buffers"},
      {plain + "x: 0\n", "it does not end"},
  };
  for (const auto& [wrong, why] : kWrong)
    EXPECT_NE(refusal(wrong).find(why), std::string::npos) << wrong << refusal(wrong);
}

}  // namespace
}  // namespace reprise::codegen

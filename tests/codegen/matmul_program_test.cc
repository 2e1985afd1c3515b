// Matmuls and what stands around them in one launch, interpreted, against the ops one by one: bits. Generated code is
// compared by the same generator in llvm/matmul_code_test.cc.
#include "codegen/matmul_program.h"

#include <gtest/gtest.h>

#include <algorithm>

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

// What a group around a matmul must not have, and that asking for it does not throw.
TEST(MatmulGroups, SayWhyTheyAreNone) {
  const auto why = [](const std::string& nodes, std::vector<graph::NodeId> of) {
    const graph::Graph graph = graph::parse(
        "graph g {\n  input %x : f32[T, 64]\n  input %r : f32[T, 96]\n  weight %n : f32[64]\n  weight %m : f32[96]\n"
        "  weight %w : f32 panels[96, 64]\n  weight %v : f32 panels[64, 96]\n  weight %u : f32 panels[96, 64]\n"
        "  weight %large : f32 panels[20000, 64]\n" +
        nodes + "}\n");
    graph::FusionGroup group{.nodes = std::move(of), .inputs = {}, .outputs = {}};
    std::vector<graph::ValueId> made;
    for (const graph::NodeId id : group.nodes) {
      for (const graph::ValueId input : graph.node(id).inputs)
        if (input != graph::kNone && std::ranges::find(made, input) == made.end() &&
            std::ranges::find(group.inputs, input) == group.inputs.end())
          group.inputs.push_back(input);
      for (const graph::ValueId output : graph.node(id).outputs) made.push_back(output);
    }
    for (const graph::GraphOutput& output : graph.outputs)
      if (std::ranges::find(made, output.value) != made.end()) group.outputs.push_back(output.value);
    EXPECT_TRUE(has_matmul(graph, group));
    return why_not_matmul(graph, group);
  };
  const std::string norm = "  %a = rms_norm(%x, %n) {eps = 0.1} : f32[T, 64]\n";
  const std::string product = "  %b = matmul(%a, %w, _) {out = f32} : f32[T, 96]\n";
  EXPECT_EQ(why(norm + product + "  return b = %b\n", {0, 1}), "");
  EXPECT_EQ(why(norm + product + "  %c = add(%b, %r) : f32[T, 96]\n  return c = %c\n", {0, 1, 2}), "");
  EXPECT_EQ(
      why(norm + product + "  %c = silu(%r) : f32[T, 96]\n  %d = mul(%c, %b) : f32[T, 96]\n  return d = %d\n",
          {0, 1, 2, 3}),
      "");
  EXPECT_EQ(
      why(norm + product + "  %c = matmul(%b, %v, _) {out = f32} : f32[T, 64]\n  return c = %c\n", {0, 1, 2}),
      "two matmuls");
  EXPECT_EQ(
      why(norm + product + "  %c = rms_norm(%b, %m) {eps = 0.1} : f32[T, 96]\n  return c = %c\n", {0, 1, 2}),
      "rms_norm needs whole rows, of which each worker has a part");
  EXPECT_EQ(why("  %a = silu(%x) : f32[T, 64]\n" + product + "  return b = %b\n", {0, 1}),
            "it takes long beside the product, and each worker would compute it");
  EXPECT_EQ(why(norm + "  %s = silu(%x) : f32[T, 64]\n  %b = matmul(%x, %w, _) {out = f32} : f32[T, 96]\n"
                       "  return a = %a\n  return b = %b\n",
                {0, 2}),
            "the matmul reads other rows");
  EXPECT_EQ(why("  %b = matmul(%x, %large, _) {out = f32} : f32[T, 20000]\n  return b = %b\n", {0}),
            "weights of 4.9 MiB, whose way from memory sets the pace");
  EXPECT_EQ(why("  %b, %c = matmul_group(%x, %w, _, %u, _, _, _, _, _) {out = f32} : f32[T, 96], f32[T, 96]\n"
                "  %d = silu_mul(%b, %c) : f32[T, 96]\n  return d = %d\n",
                {0, 1}),
            "");
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

// Generated code around matmuls against the ops one by one, bit by bit: random groups, numbers of all kinds, cut anywhere,
// with parts that are interpreted.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "codegen/matmul_program.h"
#include "core/fault.h"
#include "tests/codegen/llvm/compiled.h"
#include "tests/codegen/random_matmul.h"
#include "tests/loop/seeds.h"

namespace reprise::codegen {
namespace {

// "", or what is different for this seed, which also chooses level and variant.
std::string difference_of(uint64_t seed, loop::Scratch& scratch) {
  loop::Choices choices(seed);
  const RandomGroup group = random_matmul_group(choices);
  const Isa level = levels()[seed % levels().size()];
  const loop::Matmul matmul = matmul_of(group.graph, group.group);
  std::string options = fmt::format("chunks {}", 1 << seed / 4 % 3);
  if (loop::has_products(matmul, level) && !choices.one_in(4))
    options += choices.one_in(2) ? ", products" : ", products from afar";
  const ObjectCode object = compiled(loop::print(matmul), options, level);
  const auto generated = reinterpret_cast<KernelFunction>(object.function("kernel"));
  for (const bool special : {false, true})
    if (std::string found = difference_of_matmul(group, generated, level, choices, scratch, special);
        !found.empty())
      return fmt::format("seed {}, {}: {}", seed, options, found);
  return "";
}

constexpr int kParts = 4;
constexpr uint64_t kUsual = 1200;

class MatmulCode : public testing::TestWithParam<int> {};

TEST_P(MatmulCode, RandomGroupsHaveTheBitsOfTheirOpsOneByOne) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(kUsual, kParts);
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed)
    ASSERT_EQ(difference_of(seed, scratch), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, MatmulCode, testing::Range(0, kParts));

// Seeded faults of the emitter (core/fault.h) show around a matmul as well.
TEST(MatmulCodeFaults, EachIsFound) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  // Left out: roundings of stores, since ops round before that, and blocks of columns, which rows have none of here.
  constexpr std::pair<Fault, int> kFaults[] = {
      {Fault::emit_drops_rounding, 0},      {Fault::emit_misses_tail, 0},
      {Fault::emit_misses_tail, 1},         {Fault::emit_keeps_stale_offset, 0},
      {Fault::emit_product_misses_last, 0}, {Fault::emit_product_misses_last, 1}};
  for (const auto& [fault, site] : kFaults) {
    const FaultScope scope(fault, site);
    constexpr uint64_t kMost = 300;
    uint64_t seed = 0;
    while (seed < kMost && difference_of(seed, scratch).empty()) ++seed;
    EXPECT_LT(seed, kMost) << static_cast<int>(fault) << ", site " << site;
  }
}

}  // namespace
}  // namespace reprise::codegen

// Generated code against the interpreter of the same level, bit by bit: random programs, inputs with all kinds of
// numbers, whole and cut, with shared storage, and nothing written where it should not be.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "codegen/group_program.h"
#include "core/error.h"
#include "core/fault.h"
#include "graph/text.h"
#include "loop/text.h"
#include "tests/codegen/llvm/compiled.h"
#include "tests/codegen/random_group.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"
#include "tests/loop/seeds.h"

namespace reprise::codegen {
namespace {

using loop::Buffers;
using loop::Choices;

// "", or what is different for this seed, which also chooses level and variant.
std::string difference_of(uint64_t seed, loop::Scratch& scratch) {
  Choices choices(seed);
  kernels::cpu::LoopCode code;
  code.program = loop::random_program(choices);
  const loop::Program& program = code.program;
  constexpr std::string_view kVariants[] = {"chunks 4", "chunks 1", "chunks 2", "chunks 8"};
  const std::string_view variant = kVariants[seed % 4];
  const Isa level = levels()[seed / 4 % levels().size()];
  const ObjectCode object = compiled(loop::print(program), variant, level);
  const auto generated = reinterpret_cast<KernelFunction>(object.function("kernel"));
  const KernelFunction interpreter = kernels::cpu::loop_program_kernel(level, DType::f32).run;
  for (const bool special : {false, true, true}) {
    const int64_t rows = loop::random_rows(program, choices);
    Buffers expected(program, rows, choices, special), whole(expected), cut(expected), shared(expected);
    run_program(interpreter, code, expected.pointers(), rows, scratch);
    run_program(generated, code, whole.pointers(), rows, scratch);
    run_program(generated, code, cut.pointers(), rows, scratch, &choices);
    share_all(program, shared);
    run_program(generated, code, shared.pointers(), rows, scratch, &choices);
    for (const auto& [name, result] : {std::pair{"whole", &whole}, {"cut", &cut}, {"shared", &shared}})
      if (const std::string difference = result->difference(program, expected, rows); !difference.empty())
        return fmt::format("{}: {}, seed {}, {}, {}, {} rows\n{}", name, difference, seed, name_of(level),
                           variant, rows, loop::print(program));
  }
  return "";
}

// Seeded faults of the emitter (core/fault.h): each must show within a few programs.
TEST(LoopCodeFaults, EachIsFound) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  for (const Fault fault :
       {Fault::emit_drops_rounding, Fault::emit_contracts_product, Fault::emit_exchanges_operands,
        Fault::emit_misses_tail, Fault::emit_reorders_sum, Fault::emit_keeps_stale_offset})
    for (const int site : {0, 1}) {
      const FaultScope scope(fault, site);
      constexpr uint64_t kMost = 300;
      uint64_t seed = 0;
      while (seed < kMost && difference_of(seed, scratch).empty()) ++seed;
      EXPECT_LT(seed, kMost) << static_cast<int>(fault) << ", site " << site;
      RecordProperty(fmt::format("seeds_{}_{}", static_cast<int>(fault), site), static_cast<int>(seed));
    }
}

// Parts of the tests and, in all, random programs of each (tests/loop/seeds.h).
constexpr int kParts = 8;
constexpr uint64_t kUsual = 3200;

class LoopCode : public testing::TestWithParam<int> {};

TEST_P(LoopCode, RandomProgramsHaveTheInterpretersBits) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(kUsual, kParts);
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed)
    ASSERT_EQ(difference_of(seed, scratch), "");
}

// "", or what is different from the ops of a random group one by one.
std::string difference_of_group(uint64_t seed, loop::Scratch& scratch) {
  Choices choices(seed);
  const RandomGroup group = random_group(choices);
  kernels::cpu::LoopCode code;
  code.program = program_of(group.graph, group.group);
  const Isa level = levels()[seed % levels().size()];
  const ObjectCode object =
      compiled(loop::print(code.program), fmt::format("chunks {}", 1 << seed / 4 % 4), level);
  const auto generated = reinterpret_cast<KernelFunction>(object.function("kernel"));
  const int64_t rows = group.tokens * group.width / code.program.columns;
  for (const bool special : {false, true}) {
    Buffers expected(code.program, rows, choices, special), result(expected);
    run_one_by_one(group, expected.pointers(), level);
    run_program(generated, code, result.pointers(), rows, scratch, &choices);
    if (const std::string difference = result.difference(code.program, expected, rows); !difference.empty())
      return fmt::format("{}, seed {}, {}, {} tokens\n{}{}", difference, seed, name_of(level), group.tokens,
                         graph::print(group.graph), loop::print(code.program));
  }
  return "";
}

TEST_P(LoopCode, RandomGroupsHaveTheBitsOfTheirOpsOneByOne) {
  if (levels().empty()) GTEST_SKIP() << "no level that code is made for";
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(kUsual, kParts) / 2;
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed)
    ASSERT_EQ(difference_of_group(seed, scratch), "");
}

INSTANTIATE_TEST_SUITE_P(Seeds, LoopCode, testing::Range(0, kParts));

}  // namespace
}  // namespace reprise::codegen

// Groups of ops as one loop program, interpreted, against the ops one by one: bits. Generated code has the
// interpreter's (llvm/loop_code_test.cc), and runs groups of the same generator there.
#include "codegen/group_program.h"

#include <gtest/gtest.h>

#include "device/cpu/isa_select.h"
#include "graph/text.h"
#include "loop/text.h"
#include "tests/codegen/random_group.h"
#include "tests/loop/run_program.h"
#include "tests/loop/seeds.h"

namespace reprise::codegen {
namespace {

constexpr int kParts = 4;
constexpr uint64_t kUsual = 6000;

class GroupProgram : public testing::TestWithParam<int> {};

TEST_P(GroupProgram, RandomGroupsHaveTheBitsOfTheirOpsOneByOne) {
  loop::Scratch scratch;
  const uint64_t count = loop::seeds_of_a_part(kUsual, kParts);
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed) {
    loop::Choices choices(seed);
    const RandomGroup group = random_group(choices);
    kernels::cpu::LoopCode code;
    code.program = program_of(group.graph, group.group);
    const int64_t rows = group.tokens * group.width / code.program.columns;
    const loop::Buffers given(code.program, rows, choices, choices.one_in(2));
    for (const Isa level : cpu::available_isas()) {
      loop::Buffers expected(given), result(given);
      run_one_by_one(group, expected.pointers(), level);
      run_program(kernels::cpu::loop_program_kernel(level, DType::f32).run, code, result.pointers(), rows,
                  scratch, &choices);
      ASSERT_EQ(result.difference(code.program, expected, rows), "")
          << "seed " << seed << ", " << name_of(level) << ", " << group.tokens << " tokens\n"
          << graph::print(group.graph) << loop::print(code.program);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, GroupProgram, testing::Range(0, kParts));

}  // namespace
}  // namespace reprise::codegen

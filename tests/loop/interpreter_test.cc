// The interpreter (kernels/cpu/loop.h) at every level that this CPU has against the definition of programs,
// evaluated one element at a time; and the definition's promises about cuts and shared storage.
#include <gtest/gtest.h>

#include <cmath>

#include "device/cpu/isa_select.h"
#include "loop/text.h"
#include "tests/loop/plain_evaluation.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"
#include "tests/loop/seeds.h"

namespace reprise::loop {
namespace {

class Interpreter : public testing::TestWithParam<int> {};

// Parts of the tests and, in all, random programs of each (tests/loop/seeds.h).
constexpr int kParts = 4;
constexpr uint64_t kUsual = 12000;

TEST_P(Interpreter, RandomProgramsAreWhatTheirDefinitionSays) {
  Scratch scratch;
  const uint64_t count = seeds_of_a_part(kUsual, kParts);
  for (uint64_t seed = static_cast<uint64_t>(GetParam()) * count, end = seed + count; seed < end; ++seed) {
    Choices choices(seed);
    kernels::cpu::LoopCode code;
    code.program = random_program(choices);
    const Program& program = code.program;
    const int64_t rows = random_rows(program, choices);
    const Buffers given(program, rows, choices, choices.one_in(2));
    for (const Isa level : cpu::available_isas()) {
      Buffers expected(given), whole(given), cut(given), shared(given);
      evaluate_plainly(program, expected.pointers(), rows, level);
      const KernelFunction run = kernels::cpu::loop_program_kernel(level, DType::f32).run;
      run_program(run, code, whole.pointers(), rows, scratch);
      run_program(run, code, cut.pointers(), rows, scratch, &choices);
      share_all(program, shared);
      run_program(run, code, shared.pointers(), rows, scratch, &choices);
      for (const Buffers* result : {&whole, &cut, &shared})
        ASSERT_EQ(result->difference(program, expected, rows), "")
            << (result == &whole ? "whole"
                : result == &cut ? "cut"
                                 : "shared")
            << ", seed " << seed << ", " << name_of(level) << ", rows " << rows << "\n"
            << print(program);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Interpreter, testing::Range(0, kParts));

// The generator must reach all there is, or nothing of the above says much.
TEST(RandomProgram, HasAllCodesAndManyShapes) {
  std::vector<int> codes(static_cast<size_t>(Code::largest) + 1);
  std::vector<int> buffers(kMaxBuffers + 1), sections(6);
  int shares = 0, in_blocks = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    Choices choices(seed);
    const Program program = random_program(choices);
    for (const Instruction& instruction : program.instructions)
      ++codes[static_cast<size_t>(instruction.code)];
    ++buffers[static_cast<size_t>(program.buffers())];
    ++sections[program.sections.size()];
    in_blocks += program.items_of_row() > 1 ? 1 : 0;
    for (int out = 0; out < program.buffers(); ++out)
      for (int in = 0; in < program.buffers(); ++in)
        if (program.operands[static_cast<size_t>(out)].written &&
            !program.operands[static_cast<size_t>(in)].written)
          shares += program.may_share(out, in) ? 1 : 0;
    EXPECT_EQ(print(parse(print(program))), print(program));
  }
  for (size_t i = 0; i < codes.size(); ++i) EXPECT_GT(codes[i], 50) << info_of(static_cast<Code>(i)).name;
  for (size_t i = 1; i < buffers.size(); ++i) EXPECT_GT(buffers[i], 5) << i;
  for (size_t i = 1; i < sections.size(); ++i) EXPECT_GT(sections[i], 50) << i;
  EXPECT_GT(shares, 500);
  EXPECT_GT(in_blocks, 100);
}

// Most outputs must be numbers that tell results apart, neither NaN nor all the same.
TEST(RandomProgram, HasResultsThatTell) {
  int64_t elements = 0, numbers = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Choices choices(seed);
    const Program program = random_program(choices);
    Buffers buffers(program, 3, choices, false);
    evaluate_plainly(program, buffers.pointers(), 3, Isa::avx2);
    for (int b = 0; b < program.buffers(); ++b) {
      const Operand& operand = program.operands[static_cast<size_t>(b)];
      if (!operand.written || operand.dtype != DType::f32) continue;
      const auto* const out = reinterpret_cast<const float*>(buffers.pointers()[static_cast<size_t>(b)]);
      for (int64_t i = 0; i < 3 * program.columns; ++i) {
        ++elements;
        numbers += std::isnormal(out[i]) ? 1 : 0;
      }
    }
  }
  EXPECT_GT(numbers, elements / 2) << elements;
}

}  // namespace
}  // namespace reprise::loop

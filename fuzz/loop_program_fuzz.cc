// Bytes as the choices that make a program and its inputs: the interpreter gives what the definition says, at
// every level, and the text of the program is read back as itself.
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "kernels/cpu/loop.h"
#include "loop/text.h"
#include "tests/loop/plain_evaluation.h"
#include "tests/loop/random_program.h"
#include "tests/loop/run_program.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  static loop::Scratch scratch;
  loop::Choices choices(std::span(data, size));
  kernels::cpu::LoopCode code;
  code.program = loop::random_program(choices);
  const loop::Program& program = code.program;
  const std::string text = loop::print(program);
  REPRISE_CHECK(loop::print(loop::parse(text)) == text, "a printed program changes when it is read back");
  const int64_t rows = 1 + choices.below(3);
  loop::Choices numbers(size);  // bytes are for the program
  const loop::Buffers given(program, rows, numbers, choices.one_in(2));
  for (const Isa level : cpu::available_isas()) {
    loop::Buffers expected(given), result(given);
    loop::evaluate_plainly(program, expected.pointers(), rows, level);
    share_all(program, result);
    run_program(kernels::cpu::loop_program_kernel(level, DType::f32).run, code, result.pointers(), rows,
                scratch, &numbers);
    const std::string difference = result.difference(program, expected, rows);
    REPRISE_CHECK(difference.empty(), "{} at {}\n{}", difference, name_of(level), text);
  }
  return 0;
}

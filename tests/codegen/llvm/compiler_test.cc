// The program reprise-compiler itself, from a request to a function that runs.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codegen/compiler_process.h"
#include "codegen/object_code.h"
#include "core/error.h"

namespace reprise::codegen {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kLong = 60s;

// y = x + x
const std::string kTwice =
    "loop twice columns 20\nx float32 row\ny float32 row written\nlanes\n%0 = load x\n%1 = add %0 %0\nstore y %1\n";

CompilerProcess::Options real() {
  return {.program = REPRISE_REAL_COMPILER, .start_deadline = kLong};
}

std::string text_of(const Compiled& compiled) {
  return {reinterpret_cast<const char*>(compiled.bytes.data()), compiled.bytes.size()};
}

std::string error_of(CompilerProcess& compiler, const CompileRequest& request,
                     std::chrono::milliseconds deadline) {
  try {
    compiler.compile(request, deadline);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Compiler, FromARequestToAFunction) {
  CompilerProcess compiler(real());
  EXPECT_THAT(compiler.name(), StartsWith("llvm 19."));
  EXPECT_EQ(compiler.name(), CompilerProcess::built_with());
  for (const Isa level : {Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx}) {
    const Compiled compiled =
        compiler.compile({.output = Output::object, .level = level, .options = "", .program = kTwice}, kLong);
    EXPECT_NE(ObjectCode::load(compiled.bytes).function("kernel"), nullptr);
    EXPECT_GT(compiled.took, 0us);
  }
  EXPECT_THAT(text_of(compiler.compile({Output::llvm_text, Isa::avx2, "", kTwice}, kLong)),
              HasSubstr("define void @kernel"));
  EXPECT_THAT(text_of(compiler.compile({Output::assembly, Isa::avx2, "", kTwice}, kLong)),
              HasSubstr("kernel:"));
}

TEST(Compiler, RefusesAndServesOn) {
  CompilerProcess compiler(real());
  compiler.name();
  const pid_t child = compiler.child();
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::avx2, "", "loop"}, kLong), HasSubstr("line 1"));
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::scalar, "", kTwice}, kLong),
              HasSubstr("for the level scalar"));
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::avx2, "chunks 9", kTwice}, kLong),
              HasSubstr("options 'chunks 9'"));
  EXPECT_THAT(error_of(compiler, {static_cast<Output>(7), Isa::avx2, "", kTwice}, kLong),
              HasSubstr("no output 7"));
  EXPECT_EQ(compiler.child(), child);
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}

// More than two million instructions, which take LLVM minutes and gigabytes.
CompileRequest large() {
  std::string program = "loop large columns 160\nx float32 row\ny float32 row written\nlanes\n%0 = load x\n";
  for (int i = 1; i < 4000; ++i) program += fmt::format("%{} = erf %{}\n", i, i - 1);
  return {.level = Isa::avx2, .options = "chunks 8", .program = program + "store y %3999\n"};
}

TEST(Compiler, EndsAtTheDeadlineAndServesAgain) {
  CompilerProcess compiler(real());
  EXPECT_EQ(error_of(compiler, large(), 300ms), "reprise-compiler took longer than 300 ms and was ended");
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}

#ifndef REPRISE_SANITIZED  // where memory is not limited
TEST(Compiler, RunsOutOfItsMemoryAndServesAgain) {
  CompilerProcess::Options options = real();
  options.memory_bytes = size_t{320} << 20;
  CompilerProcess compiler(options);
  EXPECT_THAT(error_of(compiler, large(), kLong), HasSubstr("out of memory"));
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}
#endif

}  // namespace
}  // namespace reprise::codegen

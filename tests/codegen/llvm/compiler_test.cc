// The program reprise-compiler itself, from a request to a function that runs.
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

const std::string kTwice = R"(
define <16 x float> @unused(<16 x float> %x) {
  ret <16 x float> %x
}
define i32 @twice(i32 %x) {
  %r = add i32 %x, %x
  ret i32 %r
})";

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
  for (const Isa level : {Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx}) {
    const Compiled compiled =
        compiler.compile({.output = Output::object, .level = level, .options = "", .program = kTwice}, kLong);
    const ObjectCode code = ObjectCode::load(compiled.bytes);
    EXPECT_EQ(reinterpret_cast<int (*)(int)>(code.function("twice"))(21), 42);
    EXPECT_GT(compiled.took, 0us);
  }
  EXPECT_THAT(text_of(compiler.compile({Output::llvm_text, Isa::avx2, "", kTwice}, kLong)),
              HasSubstr("define i32 @twice"));
  EXPECT_THAT(text_of(compiler.compile({Output::assembly, Isa::avx2, "", kTwice}, kLong)),
              HasSubstr("twice:"));
}

TEST(Compiler, RefusesAndServesOn) {
  CompilerProcess compiler(real());
  compiler.name();
  const pid_t child = compiler.child();
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::avx2, "", "define"}, kLong), HasSubstr("line 1"));
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::scalar, "", kTwice}, kLong),
              HasSubstr("for the level scalar"));
  EXPECT_THAT(error_of(compiler,
                       {Output::object, Isa::avx2, "",
                        "define float @f(float %x) {\n %r = fadd fast float %x, %x\n"
                        " ret float %r\n}"},
                       kLong),
              HasSubstr("function f: a fast-math flag"));
  EXPECT_THAT(error_of(compiler, {static_cast<Output>(7), Isa::avx2, "", kTwice}, kLong),
              HasSubstr("no output 7"));
  EXPECT_EQ(compiler.child(), child);
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}

// A sum of vectors that LLVM cuts into pieces, for minutes and in gigabytes.
const std::string kLarge = R"(
define void @f(ptr %p, ptr %q) {
  %a = load <1048576 x float>, ptr %p
  %b = load <1048576 x float>, ptr %q
  %r = fadd <1048576 x float> %a, %b
  store <1048576 x float> %r, ptr %p
  ret void
})";

TEST(Compiler, EndsAtTheDeadlineAndServesAgain) {
  CompilerProcess compiler(real());
  EXPECT_EQ(error_of(compiler, {Output::object, Isa::avx2, "", kLarge}, 300ms),
            "reprise-compiler took longer than 300 ms and was ended");
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}

#ifndef REPRISE_SANITIZED  // where memory is not limited
TEST(Compiler, RunsOutOfItsMemoryAndServesAgain) {
  CompilerProcess::Options options = real();
  options.memory_bytes = size_t{320} << 20;
  CompilerProcess compiler(options);
  EXPECT_THAT(error_of(compiler, {Output::object, Isa::avx2, "", kLarge}, kLong), HasSubstr("out of memory"));
  EXPECT_FALSE(compiler.compile({Output::object, Isa::avx2, "", kTwice}, kLong).bytes.empty());
}
#endif

}  // namespace
}  // namespace reprise::codegen

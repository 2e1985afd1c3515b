// What makes code in the cache another kernel's: the LLVM that made it and the level of the CPU. And the code of an LLVM
// is timed once. No LLVM is needed: the
// fake compiler says what it is told, and answers with a function that does nothing of use.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "codegen/loop_compiler.h"
#include "device/cpu/isa_select.h"
#include "tests/codegen/random_group.h"
#include "tests/codegen/temporary_folder.h"

namespace reprise::codegen {
namespace {

class KernelKey : public testing::Test {
 protected:
  KernelKey() : choices_(1), group_(random_group(choices_)) {
    setenv("REPRISE_COMPILER", REPRISE_FAKE_COMPILER, 1);
    setenv("REPRISE_FAKE_PROGRAM", "object", 1);
  }
  ~KernelKey() override {
    for (const char* name : {"REPRISE_COMPILER", "REPRISE_FAKE_PROGRAM", "REPRISE_FAKE_NAME"}) unsetenv(name);
  }

  // A start on a CPU of this level of a build made with `built_with`, where the compiler's process has `found`.
  graph::CompilerReport start(Isa level, const std::string& built_with, const std::string& found) {
    setenv("REPRISE_FAKE_NAME", found.c_str(), 1);
    LoopCompiler compiler(level, {.cache = folder_.path("cache"), .before_ready = true, .trials = trials_},
                          {}, built_with);
    compiler.compile(group_.graph, group_.group);
    compiler.ready();
    const graph::CompilerReport report = compiler.report();
    EXPECT_EQ(report.kernels, 1);
    EXPECT_EQ(report.rejected, 0);
    EXPECT_EQ(report.failure, "");
    return report;
  }
  void expect_compiled(Isa level, const std::string& built_with, const std::string& found) {
    const graph::CompilerReport report = start(level, built_with, found);
    EXPECT_EQ(report.compiled, 1);
    EXPECT_EQ(report.from_cache, 0);
    EXPECT_EQ(report.compiler, found);
  }
  // `asked`: what the process that had to be asked says; empty: none was started.
  void expect_cached(Isa level, const std::string& built_with, const std::string& found,
                     const std::string& asked) {
    const graph::CompilerReport report = start(level, built_with, found);
    EXPECT_EQ(report.compiled, 0);
    EXPECT_EQ(report.from_cache, 1);
    EXPECT_EQ(report.compiler, asked);
  }

 protected:
  TemporaryFolder folder_;
  bool trials_ = false;

 private:
  loop::Choices choices_;
  RandomGroup group_;
};

TEST_F(KernelKey, CodeOfAnotherLlvmIsNotTaken) {
  expect_compiled(Isa::avx2, "llvm 1", "llvm 1");
  expect_cached(Isa::avx2, "llvm 1", "llvm 1", "");
  expect_compiled(Isa::avx2, "llvm 2", "llvm 2");
  expect_cached(Isa::avx2, "llvm 2", "llvm 2", "");
}

// LLVM is a library of the system's, which an update exchanges under a build.
TEST_F(KernelKey, TheProcessMayHaveAnotherLlvmThanTheBuild) {
  expect_compiled(Isa::avx2, "llvm 1", "llvm 2");
  expect_cached(Isa::avx2, "llvm 1", "llvm 2", "llvm 2");
  expect_cached(Isa::avx2, "llvm 2", "llvm 2", "");
}

TEST_F(KernelKey, ABuildWithoutLlvmTakesCodeOfAny) {
  for (const char* name : {"llvm 1", "llvm 2"}) {
    expect_compiled(Isa::avx2, name, name);
    expect_cached(Isa::avx2, "", "none is asked", "");
  }
}

TEST_F(KernelKey, CodeIsTimedOnce) {
  if (cpu::available_isas().back() < Isa::avx2) GTEST_SKIP() << "no level that code is made for";
  expect_compiled(Isa::avx2, "llvm 1", "llvm 1");
  trials_ = true;
  expect_cached(Isa::avx2, "llvm 1", "llvm 1", "llvm 1");  // asked for the other variants
  expect_cached(Isa::avx2, "llvm 1", "llvm 1", "");
  expect_compiled(Isa::avx2, "llvm 2", "llvm 2");
  expect_cached(Isa::avx2, "llvm 2", "llvm 2", "");
}

TEST_F(KernelKey, CodeOfALevelThatIsNotHereIsNotTimed) {
  for (const Isa level : kAllIsas) {
    const std::vector<Isa>& here = cpu::available_isas();
    if (std::ranges::find(here, level) != here.end()) continue;
    trials_ = true;
    expect_compiled(level, "llvm 1", "llvm 1");
    expect_cached(level, "llvm 1", "llvm 1", "");
  }
}

TEST_F(KernelKey, CodeOfAnotherLevelIsNotTaken) {
  expect_compiled(Isa::avx512, "llvm 1", "llvm 1");
  expect_compiled(Isa::avx2, "llvm 1", "llvm 1");
  expect_compiled(Isa::avx512_bf16, "llvm 1", "llvm 1");
  for (const Isa level : {Isa::avx512, Isa::avx2, Isa::avx512_bf16})
    expect_cached(level, "llvm 1", "llvm 1", "");
}

}  // namespace
}  // namespace reprise::codegen

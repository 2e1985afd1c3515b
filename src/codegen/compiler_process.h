// LLVM in a process of its own: the program reprise-compiler, started when the first kernel is to be
// compiled. The engine never maps LLVM, and a compiler that crashes, hangs or takes all memory costs one
// kernel.
//
// The child runs at a low priority (SCHED_BATCH, nice 5: at 19 a busy machine never let it start), in a process group of
// its own (Ctrl-C is the engine's business), with a bound on its memory and without core dumps. It inherits standard
// error and no other file. It ends when the engine's end of the socket closes, also when the engine is killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/compiler_protocol.h"
#include "core/error.h"
#include "core/isa.h"

namespace reprise::codegen {

struct CompileRequest {
  Output output = Output::object;
  Isa level = Isa::avx2;  // which the CPU here need not have; not scalar
  std::string options;    // what the emitter takes beside the program
  std::string program;
};

// Why a kernel was not compiled.
enum class CompileFailure {
  refused,        // the compiler says that it can't compile this program
  deadline,       // it took too long
  compiler_died,  // it ended, or answered what is no answer
  no_compiler,    // none can be started
};
std::string_view code_of(CompileFailure failure);  // "compiler_died"

struct CompileError : Error {
  CompileError(CompileFailure why, const std::string& message) : Error(message), failure(why) {}
  CompileFailure failure;
};

struct Compiled {
  std::vector<std::byte> bytes;  // an object, not checked yet, or text
  std::chrono::microseconds took{};
};

// Thread contract: one thread at a time; other threads may do anything meanwhile, but not wait for all
// children (wait(), waitpid(-1)).
class CompilerProcess {
 public:
  struct Options {
    // Empty: $REPRISE_COMPILER, else reprise-compiler beside the running program, in ../libexec/reprise from
    // there, or where this build installs it; the first that exists.
    std::string program;
    size_t memory_bytes = size_t{2} << 30;  // of addresses (RLIMIT_AS); not in builds with a sanitizer
    std::chrono::milliseconds start_deadline{60'000};  // a cold disk reads 120 MB of LLVM
    int most_failed_starts = 3;                        // in a row, then none is tried any more
  };
  static constexpr std::chrono::milliseconds kDeadline{2'000};

  CompilerProcess() : CompilerProcess(Options{}) {}
  explicit CompilerProcess(Options options);  // starts nothing
  ~CompilerProcess();
  CompilerProcess(const CompilerProcess&) = delete;
  CompilerProcess& operator=(const CompilerProcess&) = delete;

  // The name() of the compiler that this build was made with; empty: a build without LLVM. A child's may be another
  // one, since LLVM is a library of the system's.
  static std::string_view built_with();
  // Whether there is a program to start, without starting it: also false for what can't be started.
  static bool is_there();

  // Starts a child where none runs; the deadline counts from then on. Throws CompileError:
  //  - the program was refused: the compiler's own words; the child serves on
  //  - the deadline passed (on a machine so busy that the child waits for a core: of its CPU time, ten times as long
  //    at most), or the child ended, or answered nonsense: it is gone when this returns, and the
  //    next request starts another
  //  - no child can be started: why, and what to install. After most_failed_starts available() is false, and
  //    the same error comes at once.
  Compiled compile(const CompileRequest& request, std::chrono::milliseconds deadline = kDeadline);

  // "llvm 19.1.7". Starts a child where none ever ran; throws as compile() does.
  const std::string& name();

  bool available() const { return failed_starts_ < options_.most_failed_starts; }
  // Process id of the child; 0: none runs.
  pid_t child() const { return child_; }
  // Ends the child, if there is one, without waiting for what it does.
  void stop() noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void start();
  void start_or_throw();
  void limit_child() const;
  void greet();
  class Patience;
  std::string ask(FrameKind kind, std::span<const std::string_view> payload,
                  std::chrono::milliseconds allowed);
  void exchange(std::string_view question, size_t& sent, std::string& answer, size_t wanted,
                Patience& patience);
  [[noreturn]] void fail_ended();
  [[noreturn]] void fail(CompileFailure failure, const std::string& message);
  std::string reap() noexcept;

  Options options_;
  std::string path_;  // of the program, once found
  std::string name_;
  pid_t child_ = 0;
  int socket_ = -1;
  uint32_t number_ = 0;  // of the latest question
  int failed_starts_ = 0;
  std::string start_error_;
};

}  // namespace reprise::codegen

// The compiler of level 2 on the CPU: groups of ops become loop programs, which are interpreted until their machine
// code is there; those around a matmul are computed in its launch; attention, and the rotation and write of the cache
// before it, become code of their shape, until when the op's own kernel runs. Code comes from the cache, or from LLVM
// in a process of its own, asked by one thread of low priority. All run a program to the same bits, so code takes its
// place at any moment, unseen.
//
// When nothing is left to compile, that thread times each kernel in its variants and beside its group's ops one by one
// (trial.h). The fastest variant takes its place, and the verdict goes to the cache with it. A group whose kernel is no
// faster stays in parts where that is known when its graph is made: from the cache or the artefact, or because compile()
// waits for it (CompilerOptions::before_ready). Elsewhere code serves, and the next start keeps the parts.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "codegen/artefact.h"
#include "codegen/compiler_process.h"
#include "codegen/kernel_cache.h"
#include "codegen/verdict.h"
#include "core/isa.h"
#include "graph/kernel_compiler.h"

namespace reprise::codegen {

class ObjectCode;
struct CompiledKernel;

class LoopCompiler final : public graph::KernelCompiler {
 public:
  // Starts nothing. Code is taken from `artefact`, if there is one; what it lacks comes from the cache, which is
  // opened then. Of the cache it takes what the compiler `built_with` made, or where the process has another one, what
  // that one made; of any compiler where built_with is empty. Kernels are timed for a team of `threads`.
  LoopCompiler(Isa level, const graph::CompilerOptions& options, std::optional<Artefact> artefact = {},
               std::string_view built_with = CompilerProcess::built_with(), int threads = 1);
  ~LoopCompiler() override;

  std::string_view name() const override { return "loops"; }
  DeviceKind device() const override { return DeviceKind::cpu; }
  std::string_view level() const override;
  bool accepts(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  bool gains(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  std::string why_not(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  const ops::OpSchema& compile(const graph::Graph& graph, const graph::FusionGroup& group) override;
  bool can_compile() const override;
  std::string facts(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  void ready() override;
  void settle() override;
  graph::CompilerReport report() const override;

  // For tests of the exchange: kernel `number` (0 to report().kernels - 1) runs its code or is interpreted. Any thread,
  // while nothing is compiled.
  void run_code(size_t number, bool code);

  // A kernel as whoever stores or shows its code wants it.
  struct Kernel {
    std::string name;
    std::string key;                    // of artefacts
    CompileRequest request;             // of the variant that serves
    std::optional<Verdict> verdict;     // none: not timed
    std::span<const std::byte> object;  // the code; empty: there is none. As long as the compiler
    std::string failure;                // why not, where it was asked for
  };
  // So far, by name; while nothing is compiled.
  std::vector<Kernel> kernels() const;

 private:
  using Counter = int64_t graph::CompilerReport::*;

  void start(CompiledKernel& kernel);
  bool load(CompiledKernel& kernel, std::string_view made_by);
  bool take(CompiledKernel& kernel, std::vector<std::byte> object, std::string_view made_by,
            std::string_view note);
  void run(CompiledKernel& kernel, ObjectCode object) const;
  KernelCache& cache();
  CompileRequest request_of(const CompiledKernel& kernel, std::string_view variant) const;
  static bool can_time(const CompiledKernel& kernel);
  void work();
  Counter make(CompiledKernel& kernel);
  void time(CompiledKernel& kernel);
  void add_ms(double graph::CompilerReport::*to, std::chrono::nanoseconds took);
  void give_up(CompiledKernel& kernel, std::string_view code, std::string_view reason);

  const Isa level_;
  const graph::CompilerOptions options_;
  const std::optional<Artefact> artefact_;
  const std::string built_with_;
  const int threads_;
  std::map<std::string, std::unique_ptr<CompiledKernel>, std::less<>>
      kernels_;  // by the text of their programs

  // Shared with the worker.
  mutable std::mutex mutex_;
  std::unique_ptr<KernelCache> cache_;  // null until something is looked for in it
  std::condition_variable changed_;
  std::deque<CompiledKernel*> to_compile_, to_time_;
  int64_t missing_ = 0;  // kernels that were asked for because there was no code of them
  bool busy_ = false;
  bool started_ = false;  // the compiler process answered, or failed to
  std::atomic<bool> ending_ = false;
  std::string start_error_;
  graph::CompilerReport report_;
  std::thread worker_;
  CompilerProcess process_;  // of the worker
};

// Where nobody registered another one. Kernels are timed for `threads`, which the device of a look need not have.
std::unique_ptr<graph::KernelCompiler> make_loop_compiler(const Device& device,
                                                          const graph::CompilerOptions& options, int threads,
                                                          std::optional<Artefact> artefact = {});

}  // namespace reprise::codegen

// The compiler of level 2 on the CPU: groups of ops become loop programs, which are interpreted until their machine
// code is there. Code comes from the cache, or from LLVM in a process of its own, asked by one thread of low priority.
// Both run a program to the same bits, so code takes its place at any moment, unseen.
#pragma once

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
#include "core/isa.h"
#include "graph/kernel_compiler.h"

namespace reprise::codegen {

struct LoopKernel;

class LoopCompiler final : public graph::KernelCompiler {
 public:
  // Starts nothing. Code is taken from `artefact`, if there is one; what it lacks comes from the cache, which is
  // opened then. Of the cache it takes what the compiler `built_with` made, or where the process has another one, what
  // that one made; of any compiler where built_with is empty.
  LoopCompiler(Isa level, const graph::CompilerOptions& options, std::optional<Artefact> artefact = {},
               std::string_view built_with = CompilerProcess::built_with());
  ~LoopCompiler() override;

  std::string_view name() const override { return "loops"; }
  DeviceKind device() const override { return DeviceKind::cpu; }
  std::string_view level() const override;
  bool accepts(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  std::string why_not(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  const ops::OpSchema& compile(const graph::Graph& graph, const graph::FusionGroup& group) override;
  bool can_compile() const override;
  void ready() override;
  void settle() override;
  graph::CompilerReport report() const override;

  // For tests of the exchange: kernel `number` (0 to report().kernels - 1) runs its code or is interpreted. Any thread,
  // while nothing is compiled.
  void run_code(size_t number, bool code);

  // A kernel as whoever stores or shows its code wants it.
  struct Kernel {
    std::string name;
    std::string key;  // of the cache and of artefacts
    CompileRequest request;
  };
  std::vector<Kernel> kernels() const;  // so far, by name

 private:
  bool take(LoopKernel& kernel, std::span<const std::byte> object, std::string& why);
  bool load(LoopKernel& kernel, std::string_view made_by);
  KernelCache& cache();
  CompileRequest request_of(const LoopKernel& kernel) const;
  void enqueue(LoopKernel& kernel);
  void work();
  void make(LoopKernel& kernel);
  void give_up(const LoopKernel& kernel, std::string_view code, std::string_view reason);

  const Isa level_;
  const graph::CompilerOptions options_;
  const std::optional<Artefact> artefact_;
  const std::string built_with_;
  std::map<std::string, std::unique_ptr<LoopKernel>, std::less<>> kernels_;  // by the text of their programs

  // Shared with the worker.
  mutable std::mutex mutex_;
  std::unique_ptr<KernelCache> cache_;  // null until something is looked for in it
  std::condition_variable changed_;
  std::deque<LoopKernel*> queue_;
  bool busy_ = false;
  bool started_ = false;  // the compiler process answered, or failed to
  bool ending_ = false;
  std::string start_error_;
  graph::CompilerReport report_;
  std::thread worker_;
  CompilerProcess process_;  // of the worker
};

// Where nobody registered another one.
std::unique_ptr<graph::KernelCompiler> make_loop_compiler(const Device& device,
                                                          const graph::CompilerOptions& options,
                                                          std::optional<Artefact> artefact = {});

}  // namespace reprise::codegen

// The compiler of level 2 on the CPU: groups of ops become loop programs, which are interpreted until their machine
// code is there. Code comes from the cache, or from LLVM in a process of its own, asked by one thread of low priority.
// Both run a program to the same bits, so code takes its place at any moment, unseen.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "codegen/compiler_process.h"
#include "codegen/kernel_cache.h"
#include "core/isa.h"
#include "graph/kernel_compiler.h"

namespace reprise::codegen {

struct LoopKernel;

class LoopCompiler final : public graph::KernelCompiler {
 public:
  // Opens the cache; starts nothing.
  LoopCompiler(Isa level, const graph::CompilerOptions& options);
  ~LoopCompiler() override;

  std::string_view name() const override { return "loops"; }
  DeviceKind device() const override { return DeviceKind::cpu; }
  std::string_view level() const override;
  bool accepts(const graph::Graph& graph, const graph::FusionGroup& group) const override;
  const ops::OpSchema& compile(const graph::Graph& graph, const graph::FusionGroup& group) override;
  void ready() override;
  void settle() override;
  graph::CompilerReport report() const override;

  // For tests of the exchange: kernel `number` (0 to report().kernels - 1, all graphs being made) runs its code, if it
  // is there, or is interpreted. Any thread.
  void run_code(size_t number, bool code);

 private:
  bool take(LoopKernel& kernel, std::span<const std::byte> object, std::string& why);
  bool load_from_cache(LoopKernel& kernel);
  void enqueue(LoopKernel& kernel);
  void work();
  void make(LoopKernel& kernel);
  void give_up(const LoopKernel& kernel, std::string reason);

  const Isa level_;
  const graph::CompilerOptions options_;
  KernelCache cache_;
  std::map<std::string, std::unique_ptr<LoopKernel>, std::less<>> kernels_;  // by the text of their programs

  // Shared with the worker.
  mutable std::mutex mutex_;
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

// For graph::register_compiler, and where nobody registered another one.
std::unique_ptr<graph::KernelCompiler> make_loop_compiler(const Device& device,
                                                          const graph::CompilerOptions& options);

}  // namespace reprise::codegen

// Times the code of a group in its variants, and the group's ops one by one, so that nothing is fused on faith.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/verdict.h"
#include "core/isa.h"
#include "core/launch.h"
#include "graph/graph.h"
#include "graph/kernel_compiler.h"
#include "loop/program.h"

namespace reprise::codegen {

// The variants of a program, as options of the emitter: how many vectors of 16 lanes are computed in turn, so that the
// processor can overlap them. Those that would be the same code for so few columns are left out.
std::vector<std::string> variants_of(const loop::Program& program);
// What is taken untimed: as fast as any for a chain of 11 ops at every level, hot and cold.
std::string untimed_variant(const loop::Program& program);

class Trial {
 public:
  // Of steps of so many tokens, fewer where 512 would take too much memory or time.
  static constexpr int64_t kTokens[] = {1, 16, 512};

  struct Variant {
    std::string name;
    KernelFunction run = nullptr;  // the code of `program`, of a level that this CPU has
  };

  // Copies what it needs of the graph.
  Trial(const graph::Graph& graph, const graph::FusionGroup& group);

  // On made-up inputs, on the calling thread alone, with memory of its own. Each is replayed as level 1 replays: one
  // fork for all launches, so that a launch costs what it costs there. All take turns and the least time of each counts,
  // so that a busy machine harms none more than another. Takes 10 to 100 ms, in which `stop` ends it (nullopt).
  // Throws Error where memory runs out.
  std::optional<Verdict> run(Isa level, const loop::Program& program, std::span<const Variant> variants,
                             const std::atomic<bool>& stop) const;

 private:
  graph::Graph graph_;  // the group alone
};

// One line of what times depend on beside level and program: the CPU's family, model and L2 cache, and the sources of the
// kernels that the ops run. Threads do not count: one is timed.
std::string_view timed_on();

}  // namespace reprise::codegen

// Times the code of a group in its variants, and the group's ops one by one, so that nothing is fused on faith.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/generated_kernel.h"
#include "codegen/verdict.h"
#include "core/isa.h"
#include "core/launch.h"
#include "graph/graph.h"
#include "graph/kernel_compiler.h"

namespace reprise::codegen {

class Trial {
 public:
  // Of steps of so many tokens, fewer where 512 would take too much memory or time.
  static constexpr int64_t kTokens[] = {1, 16, 512};

  struct Variant {
    std::string name;
    KernelFunction run = nullptr;  // code of the group, of a level that this CPU has
  };

  // For a team of `threads`, 1 or more. Copies what it needs of the graph.
  Trial(const graph::Graph& graph, const graph::FusionGroup& group, Isa level, int threads = 1);

  // Times what one worker of the team has to do: the largest share of each launch, and what it costs to hand a launch
  // over to the others. So what only one worker can run, and what each runs for itself, count in full. On made-up inputs,
  // on the calling thread alone, with memory of its own; launches are recorded and replayed as at level 1. Weights are
  // read from as far away as in the model: from copies in turn, as many bytes as the model's weights have, at most 32
  // MiB. All take turns and the least time of each counts, so that a busy machine harms none more than another. Takes 10
  // to 100 ms, in which `stop` ends it (nullopt). Throws Error where memory runs out.
  std::optional<Verdict> run(std::span<const Variant> variants, const std::atomic<bool>& stop) const;

 private:
  Isa level_;
  int workers_;                              // that share a launch
  std::unique_ptr<GeneratedKernel> kernel_;  // of its own, since it runs all variants
  graph::Graph graph_;                       // the group alone
  size_t cold_bytes_;                        // of weights, about as many as the whole graph has
};

// One line of what times depend on beside level and program: the CPU's family, model and L2 cache, the sources of the
// kernels that the ops run, and the workers that share a launch; of groups that read weights also how many bytes of them
// the graph has, about.
std::string timed_on(const graph::Graph& graph, const graph::FusionGroup& group, int threads);

}  // namespace reprise::codegen

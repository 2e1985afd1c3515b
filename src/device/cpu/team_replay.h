// Replays a recording on the thread team, with one fork-join for the whole step. A node is one recorded
// launch. All workers go through the list of nodes in order and share each, by claims (claimed_walk.h) or each with its
// fixed part (fixed_walk.h). A node starts when the nodes that it depends on are done (dependencies.h); there is no
// barrier between nodes. Kernels read T (tokens) and S (sequences) of the step that is replayed, so one recording
// serves every size up to the largest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "capture/executable.h"
#include "device/cpu/worker_choice.h"

namespace reprise {
class CpuStream;
class Profiler;
}  // namespace reprise

namespace reprise::cpu {

class TeamReplay final : public capture::Executable {
 public:
  // `largest`: sizes that no replay exceeds; ranges of buffers are compared at these. `stream` lends its team
  // and the workers' scratch memory and outlives this. Throws Error where the recording is a dry one.
  TeamReplay(capture::Recording recording, StepSizes largest, CpuStream& stream);
  ~TeamReplay() override;
  TeamReplay(const TeamReplay&) = delete;
  TeamReplay& operator=(const TeamReplay&) = delete;

  // Shared as has proved fastest for these sizes (worker_choice.h).
  void run(StepSizes sizes, Profiler* profiler = nullptr) override;
  // Shared so (0 workers: by all; 1: on the caller alone, with no atomics). Results don't depend on it. Complete when it
  // returns. `traced`: each worker also notes when it worked on which node, for tell().
  void run_on(StepSizes sizes, Sharing sharing = {}, bool traced = false);
  // As many items of each node as the largest share of so many workers has, on the caller alone: for timing. Leaves
  // results incomplete.
  void run_largest_shares(StepSizes sizes, int workers);
  // Adds the last replay, which was traced and of these sizes, to `profiler`: a launch with its shares for
  // each node that had work items.
  void tell(StepSizes sizes, Profiler& profiler) const;

  void run_node(size_t node, StepSizes sizes) override;
  const capture::Recording& recording() const override;
  std::span<const int32_t> waits_of(size_t node) const override;
  size_t bytes() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::cpu

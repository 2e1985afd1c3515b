// Replays a recording on the thread team: one fork for the whole step. The workers walk the list of nodes and
// claim chunks of each from an atomic word a node, so that a worker that the system has suspended holds
// nobody up; a node starts when the nodes that it depends on are done (dependencies.h), with no barrier in
// between. Kernels read T and S of the step that is replayed, so one recording serves every size up to the
// largest.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "capture/recording.h"

namespace reprise {
class ThreadTeam;
class Profiler;
}  // namespace reprise

namespace reprise::capture {

// Thread contract: the stream's thread; one replay of a team at a time.
class Replay {
 public:
  // `largest`: sizes that no replay exceeds; ranges of buffers are compared at these. `stream` lends its team
  // and the workers' scratch memory and outlives this. Throws Error where the recording is a dry one.
  Replay(Recording recording, StepSizes largest, Stream& stream);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // Runs every node for a step of these sizes, on `workers` of the team (1: on the caller alone, with no
  // atomics; 0: all). Results don't depend on it. Allocates nothing. Complete when it returns.
  void run(StepSizes sizes, int workers = 0);

  // The same one node after another on the caller, telling `profiler` of each.
  void run_profiled(StepSizes sizes, Profiler& profiler);

  // One node on the caller, for checks that look between nodes.
  void run_node(size_t node, StepSizes sizes);

  const Recording& recording() const;
  std::span<const int32_t> dependencies_of(size_t node) const;  // nodes, ascending, none implied by another
  size_t bytes() const;                                         // the same for the same launches and team

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::capture

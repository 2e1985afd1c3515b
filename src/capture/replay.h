// Replays a recording on the thread team, with one fork-join for the whole step. A node is one recorded
// launch. All workers go through the list of nodes in order and claim chunks of work items of each from an
// atomic word that the node has, so a worker that the system suspends before it claimed anything delays
// nobody. A node starts when the nodes that it depends on are done (dependencies.h); there is no barrier
// between nodes. Kernels read T (tokens) and S (sequences) of the step that is replayed, so one recording
// serves every size up to the largest.
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
  // atomics; 0: all). Results don't depend on it. Complete when it returns. Throws InternalError for sizes
  // above `largest`. `traced`: each worker also notes when it worked on which node, for tell(). Allocates
  // nothing, but for those notes in the first traced replay.
  void run(StepSizes sizes, int workers = 0, bool traced = false);
  // Adds the last replay, which was traced and of these sizes, to `profiler`: a launch with its shares for
  // each node that had work items.
  void tell(StepSizes sizes, Profiler& profiler) const;

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

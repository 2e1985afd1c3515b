// A replay in which workers claim chunks of each node from an atomic word that the node has: whoever is done early takes
// more. In a large team each takes a first share before, in a cache line of its own. Who would have to wait for the
// first share of a worker that is away (the system may have suspended it) runs it instead, so that nobody is delayed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/launch.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/replay_notes.h"
#include "device/cpu/replay_plan.h"
#include "device/cpu/replay_step.h"

namespace reprise::cpu {

class ClaimedWalk {
 public:
  // All outlive this.
  ClaimedWalk(const ReplayPlan& plan, CpuStream& stream, ReplayNotes& notes);

  // The way of one worker through a step. That of worker 0 ends when all is done.
  template <bool traced>
  void walk(const ReplayStep& step, int worker);

  size_t bytes() const;

 private:
  // What workers write while they run a node. What others wait for lies apart (Finished), so that those who
  // spin there don't slow down those who claim.
  struct alignas(64) NodeState {
    std::atomic<uint64_t> claimed{0};  // epoch, units claimed
    std::atomic<uint64_t> done{0};     // epoch, units done, of nodes that are shared
  };
  struct alignas(64) Finished {
    std::atomic<uint32_t> epoch{0};  // low half of the epoch in which the node last finished
  };
  // Which first shares of a worker are taken. A turn is a node in an epoch, counted on through all epochs. The
  // worker itself takes them one after the other, in a cache line that is its own; those of a worker that is
  // away are taken, in the same order, by others that would have to wait for them.
  struct alignas(64) FirstShares {
    std::atomic<uint64_t> next{0};  // turns before this one are taken
  };

  bool in_one_chunk(size_t node, StepSizes sizes) const {
    return plan_.items_of(node, sizes) <= plan_.nodes()[node].dims.grain;
  }
  Cut cut_of(size_t node, StepSizes sizes) const {
    return {plan_.items_of(node, sizes), plan_.nodes()[node].dims.grain};
  }
  uint64_t first_turn(const ReplayStep& step) const { return step.epoch * plan_.nodes().size(); }

  template <bool traced>
  void run_chunks(size_t node, const ReplayStep& step, KernelContext& context);
  template <bool traced>
  uint32_t run_first_share(size_t node, int owner, const ReplayStep& step, KernelContext& context);
  template <bool traced>
  void help(size_t last, const ReplayStep& step, KernelContext& context);
  template <bool traced>
  void wait_for(size_t node, const ReplayStep& step, KernelContext& context);
  bool take_first_share(int owner, uint64_t turn);
  void finish(size_t node, uint64_t epoch);

  const ReplayPlan& plan_;
  CpuStream& stream_;
  ReplayNotes& notes_;
  std::unique_ptr<NodeState[]> states_;
  std::unique_ptr<Finished[]> finished_;         // by node
  std::unique_ptr<FirstShares[]> first_shares_;  // by worker
  Sleepers sleepers_;
};

}  // namespace reprise::cpu

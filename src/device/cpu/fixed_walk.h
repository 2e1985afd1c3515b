// A replay in which each worker has the same share of a node every time. A small step gains by that: a worker finds its
// part of the weights in its own caches, and says in one word of its own how far it is. Where a worker is away (the
// system may have suspended it), those who would have to wait for it run its shares, and say so in its word. A worker
// that is merely slow is waited for, so steps of long nodes are better shared by claims (claimed_walk.h).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/launch.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/replay_notes.h"
#include "device/cpu/replay_plan.h"
#include "device/cpu/replay_step.h"

namespace reprise::cpu {

class FixedWalk {
 public:
  // Everybody looks at everybody's word, so more would gain nothing.
  static constexpr int kMostWorkers = 8;

  // All outlive this.
  FixedWalk(const ReplayPlan& plan, CpuStream& stream, ReplayNotes& notes);

  // The way of one worker through a step of at most kMostWorkers. That of worker 0 ends when all is done.
  template <bool traced>
  void walk(const ReplayStep& step, int worker);

  // On the caller alone, as many items of each node as the largest share of so many workers has: for timing. Leaves
  // results incomplete.
  static void run_largest_shares(const ReplayPlan& plan, KernelContext& context, int workers);

  size_t bytes() const;

 private:
  // Units of a node, and the items of each worker's share at these sizes.
  struct Node {
    int64_t items = 0, grain = 1;
    uint32_t units = 0;

    int64_t begin(int owner, int64_t workers) const {
      const int64_t unit = units < workers ? std::min<int64_t>(owner, units) : units * owner / workers;
      return std::min(items, unit * grain);
    }
    Node() = default;
    Node(const ReplayPlan& plan, size_t node, StepSizes sizes);
    bool has_share(int owner) const { return static_cast<uint32_t>(owner) < units; }
  };
  // A turn is a node in an epoch, counted on through all epochs. `at` is 2 * turn: the owner's shares before this turn
  // are done, and no later one is begun; 2 * turn + 1: somebody runs the one of this turn.
  struct alignas(64) Owner {
    std::atomic<uint64_t> at{0};
    // For this worker's eyes alone.
    StepSizes sizes{.tokens = -1};
    std::unique_ptr<Node[]> nodes;
  };
  static uint64_t running(uint64_t turn) { return 2 * turn + 1; }
  static uint64_t behind(uint64_t turn) { return 2 * turn + 2; }

  // One worker on its way.
  struct Way {
    const ReplayStep& step;
    uint64_t first_turn;
    const Node* nodes;
    KernelContext context;
  };
  // A share that somebody runs, which is in the way of another.
  struct Blocker {
    int owner;
    uint64_t at;
  };

  const Node* nodes_at(StepSizes sizes, int worker);
  std::atomic<uint64_t>& at(int owner) const { return owners_[static_cast<size_t>(owner)].at; }
  bool is_done(size_t node, int owner, const Way& way) const {
    return at(owner).load(std::memory_order_acquire) >= behind(way.first_turn + node);
  }
  template <bool traced>
  void wait_for(size_t node, Way& way);
  template <bool traced>
  void finish_share(size_t node, int owner, Way& way);
  template <bool traced>
  std::optional<Blocker> help(size_t node, int owner, Way& way);
  template <bool traced>
  std::optional<Blocker> take(size_t node, int owner, Way& way);

  const ReplayPlan& plan_;
  CpuStream& stream_;
  ReplayNotes& notes_;
  const int workers_;
  std::unique_ptr<Owner[]> owners_;
  Sleepers sleepers_;
};

}  // namespace reprise::cpu

#include "device/cpu/claimed_walk.h"

#include <algorithm>
#include <optional>

namespace reprise::cpu {
namespace {

// Words of a node carry the epoch in which they were last written. 48 bits of epoch don't wrap.
constexpr int kCountBits = 16;
constexpr uint64_t tagged(uint64_t epoch, uint32_t count) {
  return epoch << kCountBits | count;
}
constexpr uint64_t epoch_of(uint64_t word) {
  return word >> kCountBits;
}
constexpr uint32_t count_of(uint64_t word) {
  return static_cast<uint32_t>(word & ((1 << kCountBits) - 1));
}

struct Claim {
  uint32_t first;
  uint32_t count;  // of units
};

// Takes the next share of the units from `first` on; nothing where all are taken, or a newer replay is on.
std::optional<Claim> claim(std::atomic<uint64_t>& claimed, uint64_t epoch, const Cut& cut, uint32_t first,
                           int workers) {
  uint64_t seen = claimed.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t next = epoch_of(seen) == epoch ? count_of(seen) : first;
    if (epoch_of(seen) > epoch || next == cut.units) return std::nullopt;
    const uint32_t count = cut.share(next, workers);
    if (claimed.compare_exchange_weak(seen, tagged(epoch, next + count), std::memory_order_acq_rel,
                                      std::memory_order_acquire))
      return Claim{next, count};
  }
}

// Notes `more` units as done; whether those were the last.
bool complete(std::atomic<uint64_t>& done, uint64_t epoch, uint32_t more, uint32_t units) {
  uint64_t seen = done.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t sum = (epoch_of(seen) == epoch ? count_of(seen) : 0) + more;
    if (done.compare_exchange_weak(seen, tagged(epoch, sum), std::memory_order_acq_rel,
                                   std::memory_order_acquire))
      return sum == units;
  }
}

}  // namespace

ClaimedWalk::ClaimedWalk(const ReplayPlan& plan, CpuStream& stream, ReplayNotes& notes)
    : plan_(plan),
      stream_(stream),
      notes_(notes),
      states_(std::make_unique<NodeState[]>(plan.nodes().size())),
      finished_(std::make_unique<Finished[]>(plan.nodes().size())),
      first_shares_(std::make_unique<FirstShares[]>(static_cast<size_t>(stream.team().size()))) {}

size_t ClaimedWalk::bytes() const {
  return plan_.nodes().size() * (sizeof(NodeState) + sizeof(Finished)) +
         static_cast<size_t>(stream_.team().size()) * sizeof(FirstShares);
}

// Every worker takes the nodes in their order, so the first that isn't finished can always go on: whatever it
// waits for is finished, and its chunks are either open or in the hands of a worker that runs.
template <bool traced>
void ClaimedWalk::walk(const ReplayStep& step, int worker) {
  const auto nodes = plan_.nodes();
  KernelContext context = stream_.context_for(step.sizes, worker);
  for (size_t i = 0; i < nodes.size();) {
    size_t end = i + 1;
    const bool single = in_one_chunk(i, step.sizes);
    // The worker that starts a serial chain (nodes of one chunk, each waiting for the one before) runs all of
    // it: handing a small node over costs more than running it.
    if (single)
      while (end < nodes.size() && nodes[end].follows && in_one_chunk(end, step.sizes)) ++end;
    // The wait comes before the first look at the claims: those who wait leave that line to those who claim.
    for (const int32_t wait : plan_.waits_of(nodes[i]))
      wait_for<traced>(static_cast<size_t>(wait), step, context);
    if (!single) {
      run_chunks<traced>(i, step, context);
    } else if (claim(states_[i].claimed, step.epoch, Cut(1, 1), 0, 1)) {
      for (size_t node = i; node < end; ++node) {
        Timer<traced> timer(notes_, worker, node);
        plan_.run_whole(node, context);
        timer.stop(step.epoch);
        finish(node, step.epoch);
      }
    }
    i = end;
  }
  if (worker == 0)  // the caller's own call returns when all is done
    for (const int32_t node : plan_.last_nodes()) wait_for<traced>(static_cast<size_t>(node), step, context);
}

template <bool traced>
void ClaimedWalk::run_chunks(size_t node, const ReplayStep& step, KernelContext& context) {
  const Cut cut = cut_of(node, step.sizes);
  const auto workers = static_cast<int>(step.workers);
  const uint32_t behind_first = cut.first_share(workers, workers);
  uint32_t done = 0;
  if (behind_first > 0 && take_first_share(context.worker, first_turn(step) + node))
    done += run_first_share<traced>(node, context.worker, step, context);
  Timer<traced> timer(notes_, context.worker, node);
  while (const auto taken = claim(states_[node].claimed, step.epoch, cut, behind_first, workers)) {
    plan_.run_items(node, context, cut.begin(taken->first), cut.end(taken->first + taken->count));
    done += taken->count;
    timer.stop(step.epoch);
  }
  if (done > 0 && complete(states_[node].done, step.epoch, done, cut.units)) finish(node, step.epoch);
}

// Runs the share that `owner` has of a node which is shared; how many units that were.
template <bool traced>
uint32_t ClaimedWalk::run_first_share(size_t node, int owner, const ReplayStep& step,
                                      KernelContext& context) {
  const Cut cut = cut_of(node, step.sizes);
  const auto workers = static_cast<int>(step.workers);
  const uint32_t first = cut.first_share(owner, workers), end = cut.first_share(owner + 1, workers);
  if (first == end) return 0;
  Timer<traced> timer(notes_, context.worker, node);
  plan_.run_items(node, context, cut.begin(first), cut.end(end));
  timer.stop(step.epoch);
  return end - first;
}

// Whether the share is the caller's to run now. All turns of `owner` before it that are shared are taken.
bool ClaimedWalk::take_first_share(int owner, uint64_t turn) {
  std::atomic<uint64_t>& next = first_shares_[static_cast<size_t>(owner)].next;
  uint64_t seen = next.load(std::memory_order_acquire);
  while (seen <= turn)
    if (next.compare_exchange_weak(seen, turn + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  return false;
}

// Runs what workers that are away have left of their first shares, up to node `last`: this worker has been
// there, so what these nodes wait for is done.
template <bool traced>
void ClaimedWalk::help(size_t last, const ReplayStep& step, KernelContext& context) {
  if (step.workers < Cut::kFirstShareWorkers) return;
  const uint64_t begin = first_turn(step);
  for (int owner = 0; owner < step.workers; ++owner) {
    const uint64_t next = first_shares_[static_cast<size_t>(owner)].next.load(std::memory_order_acquire);
    for (uint64_t turn = std::max(next, begin); turn <= begin + last; ++turn) {
      const size_t node = turn - begin;
      if (in_one_chunk(node, step.sizes) || !take_first_share(owner, turn)) continue;
      const uint32_t done = run_first_share<traced>(node, owner, step, context);
      if (done > 0 && complete(states_[node].done, step.epoch, done, cut_of(node, step.sizes).units))
        finish(node, step.epoch);
    }
  }
}

void ClaimedWalk::finish(size_t node, uint64_t epoch) {
  sleepers_.set(finished_[node].epoch, static_cast<uint32_t>(epoch));
}

template <bool traced>
void ClaimedWalk::wait_for(size_t node, const ReplayStep& step, KernelContext& context) {
  std::atomic<uint32_t>& word = finished_[node].epoch;
  // Newer counts as well: a late worker must not wait for a step that is long done.
  const auto reached = [&](uint32_t seen) {
    return static_cast<int32_t>(seen - static_cast<uint32_t>(step.epoch)) >= 0;
  };
  const auto done = [&] { return reached(word.load(std::memory_order_acquire)); };
  if (spin_briefly(done)) return;
  help<traced>(node, step, context);
  if (!spin_until(done)) sleepers_.sleep(word, reached);
}

template void ClaimedWalk::walk<false>(const ReplayStep& step, int worker);
template void ClaimedWalk::walk<true>(const ReplayStep& step, int worker);

}  // namespace reprise::cpu

#include "device/cpu/fixed_walk.h"

#include "core/thread_team.h"

namespace reprise::cpu {

FixedWalk::FixedWalk(const ReplayPlan& plan, CpuStream& stream, ReplayNotes& notes)
    : plan_(plan), stream_(stream), notes_(notes), workers_(std::min(stream.team().size(), kMostWorkers)) {
  if (workers_ == 1) return;
  owners_ = std::make_unique<Owner[]>(static_cast<size_t>(workers_));
  for (int worker = 0; worker < workers_; ++worker)
    owners_[static_cast<size_t>(worker)].nodes = std::make_unique<Node[]>(plan.nodes().size());
}

size_t FixedWalk::bytes() const {
  return workers_ == 1
             ? 0
             : static_cast<size_t>(workers_) * (sizeof(Owner) + plan_.nodes().size() * sizeof(Node));
}

FixedWalk::Node::Node(const ReplayPlan& plan, size_t node, StepSizes sizes)
    : items(plan.items_of(node, sizes)) {
  const Cut cut(items, plan.nodes()[node].dims.grain);
  grain = cut.grain;
  units = cut.units;
}

void FixedWalk::run_largest_shares(const ReplayPlan& plan, KernelContext& context, int workers) {
  for (size_t i = 0; i < plan.nodes().size(); ++i) {
    const Node node(plan, i, context.sizes);
    const int64_t units = (node.units + workers - 1) / workers;
    if (const int64_t items = std::min(node.items, units * node.grain); items > 0)
      plan.run_items(i, context, 0, items);
  }
}

// Counted again where the last step had other sizes.
const FixedWalk::Node* FixedWalk::nodes_at(StepSizes sizes, int worker) {
  Owner& own = owners_[static_cast<size_t>(worker)];
  if (own.sizes != sizes) {
    for (size_t i = 0; i < plan_.nodes().size(); ++i) own.nodes[i] = Node(plan_, i, sizes);
    own.sizes = sizes;
  }
  return own.nodes.get();
}

template <bool traced>
void FixedWalk::walk(const ReplayStep& step, int worker) {
  Way way{.step = step,
          .first_turn = step.epoch * plan_.nodes().size(),
          .nodes = nodes_at(step.sizes, worker),
          .context = stream_.context_for(step.sizes, worker)};
  for (size_t node = 0; node < plan_.nodes().size(); ++node) {
    if (!way.nodes[node].has_share(worker)) continue;
    for (const int32_t wait : plan_.waits_of(plan_.nodes()[node]))
      wait_for<traced>(static_cast<size_t>(wait), way);
    if (take<traced>(node, worker, way)) finish_share<traced>(node, worker, way);
  }
  if (worker == 0)  // the caller's own call returns when all is done
    for (const int32_t node : plan_.last_nodes()) wait_for<traced>(static_cast<size_t>(node), way);
}

template <bool traced>
void FixedWalk::wait_for(size_t node, Way& way) {
  for (int owner = 0; owner < way.step.workers && way.nodes[node].has_share(owner); ++owner) {
    const auto done = [&] { return is_done(node, owner, way); };
    if (!done() && !spin_briefly(done)) finish_share<traced>(node, owner, way);
  }
}

// Returns when the share is done, by whomever.
template <bool traced>
void FixedWalk::finish_share(size_t node, int owner, Way& way) {
  while (!is_done(node, owner, way))
    if (const auto blocker = help<traced>(node, owner, way)) {
      std::atomic<uint64_t>& word = at(blocker->owner);
      const auto moved = [&](uint64_t now) { return now != blocker->at; };
      if (!spin_until([&] { return moved(word.load(std::memory_order_acquire)); }))
        sleepers_.sleep(word, moved);
    }
}

// Runs what the owner, which may be away, has left of its shares up to `node`, and what they wait for, as far as nobody
// else is at it.
template <bool traced>
std::optional<FixedWalk::Blocker> FixedWalk::help(size_t node, int owner, Way& way) {
  const uint64_t turn = at(owner).load(std::memory_order_acquire) / 2;
  for (size_t i = turn > way.first_turn ? turn - way.first_turn : 0; i <= node; ++i) {
    if (!way.nodes[i].has_share(owner)) continue;
    for (const int32_t wait : plan_.waits_of(plan_.nodes()[i]))
      for (int other = 0; other < way.step.workers && way.nodes[wait].has_share(other); ++other)
        if (!is_done(static_cast<size_t>(wait), other, way))
          if (const auto blocker = help<traced>(static_cast<size_t>(wait), other, way)) return blocker;
    if (const auto blocker = take<traced>(i, owner, way)) return blocker;
  }
  return std::nullopt;
}

// Runs the owner's share of a node whose waits are over, unless it is done or somebody runs a share of the owner.
template <bool traced>
std::optional<FixedWalk::Blocker> FixedWalk::take(size_t node, int owner, Way& way) {
  const uint64_t turn = way.first_turn + node;
  uint64_t seen = at(owner).load(std::memory_order_acquire);
  do {
    if (seen >= behind(turn)) return std::nullopt;
    if (seen % 2 == 1) return Blocker{owner, seen};
  } while (!at(owner).compare_exchange_weak(seen, running(turn), std::memory_order_acq_rel,
                                            std::memory_order_acquire));
  const Node& cut = way.nodes[node];
  const int64_t begin = cut.begin(owner, way.step.workers), end = cut.begin(owner + 1, way.step.workers);
  if (begin < end) {
    Timer<traced> timer(notes_, way.context.worker, node);
    plan_.run_items(node, way.context, begin, end);
    timer.stop(way.step.epoch);
  }
  sleepers_.set(at(owner), behind(turn));
  return std::nullopt;
}

template void FixedWalk::walk<false>(const ReplayStep& step, int worker);
template void FixedWalk::walk<true>(const ReplayStep& step, int worker);

}  // namespace reprise::cpu

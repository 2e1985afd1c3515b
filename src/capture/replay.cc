#include "capture/replay.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "capture/replay_plan.h"
#include "core/fault.h"
#include "core/profiler.h"
#include "core/spin_wait.h"
#include "core/thread_team.h"

namespace reprise::capture {
namespace {

// A replay on several workers is an epoch, counted from 1. Words of a node carry the epoch in which they were
// last written, so nothing is reset between replays, and a worker that comes late from an old one finds newer
// words and nothing to do. 48 bits of epoch don't wrap.
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

// What workers write while they run a node. What others wait for lies apart (Impl::finished), so that those
// who spin there don't slow down those who claim.
struct alignas(64) NodeState {
  std::atomic<uint64_t> claimed{0};  // epoch, units claimed
  std::atomic<uint64_t> done{0};     // epoch, units done, of nodes that are shared
};

struct Claim {
  uint32_t first;
  uint32_t count;  // of units
};

// Takes the next share of the units; nothing where all are taken, or a newer replay is on.
std::optional<Claim> claim(NodeState& state, uint64_t epoch, const Cut& cut, int workers) {
  uint64_t seen = state.claimed.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t next = epoch_of(seen) == epoch ? count_of(seen) : 0;
    if (epoch_of(seen) > epoch || next == cut.units) return std::nullopt;
    const uint32_t count = cut.share(next, workers);
    if (state.claimed.compare_exchange_weak(seen, tagged(epoch, next + count), std::memory_order_acq_rel,
                                            std::memory_order_acquire))
      return Claim{next, count};
  }
}

// Notes `more` units as done; whether those were the last.
bool complete(NodeState& state, uint64_t epoch, uint32_t more, uint32_t units) {
  uint64_t seen = state.done.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t sum = (epoch_of(seen) == epoch ? count_of(seen) : 0) + more;
    if (state.done.compare_exchange_weak(seen, tagged(epoch, sum), std::memory_order_acq_rel,
                                         std::memory_order_acquire))
      return sum == units;
  }
}

}  // namespace

struct Replay::Impl {
  // What a worker takes along: its own copy, for the next replay may begin before it has left this one.
  struct Walk {
    Impl* replay;
    StepSizes sizes;
    uint64_t epoch;
    int64_t workers;
    void operator()(int worker) const { replay->walk(*this, worker); }
  };

  Impl(Recording launches, StepSizes largest_sizes, Stream& on)
      : recording(std::move(launches)),
        largest(largest_sizes),
        stream(on),
        plan(recording, largest_sizes),
        states(std::make_unique<NodeState[]>(plan.nodes().size())),
        finished(std::make_unique<std::atomic<uint32_t>[]>(plan.nodes().size())) {}

  KernelContext context_for(StepSizes sizes, int worker) const {
    return {.sizes = sizes,
            .buffers = nullptr,
            .scalars = nullptr,
            .scratch = stream.scratch(worker),
            .worker = worker};
  }

  // Items [begin, end) of a node.
  static void run_items(const ReplayNode& node, KernelContext& context, int64_t begin, int64_t end) {
    context.buffers = node.buffers;
    context.scalars = node.scalars;
    node.run(context, begin, end);
  }
  void run_whole(const ReplayNode& node, KernelContext& context) const {
    const int64_t items = items_of(node, context.sizes);
    if (items > 0) run_items(node, context, 0, items);
  }
  int64_t items_of(const ReplayNode& node, StepSizes sizes) const {
    const int64_t items = node.dims.items.eval(sizes);
    return fault_is_on(Fault::replay_loses_last_item, &node - plan.nodes().data()) ? items - 1 : items;
  }

  void walk(const Walk& step, int worker);
  void run_chunks(size_t index, const Walk& step, KernelContext& context);
  void finish(size_t index, uint64_t epoch);
  void wait_for(int32_t index, uint64_t epoch);
  StepSizes checked(StepSizes sizes) const;

  Recording recording;
  StepSizes largest;
  Stream& stream;
  ReplayPlan plan;
  std::unique_ptr<NodeState[]> states;
  std::unique_ptr<std::atomic<uint32_t>[]>
      finished;                                   // low half of the epoch in which each node last finished
  alignas(64) std::atomic<uint32_t> sleepers{0};  // workers parked on one of `finished`
  uint64_t epoch = 0;
};

// Every worker takes the nodes in their order, so the first that isn't finished can always go on: whatever it
// waits for is finished, and its chunks are either open or in the hands of a worker that runs.
void Replay::Impl::walk(const Walk& step, int worker) {
  const auto nodes = plan.nodes();
  const auto in_one_chunk = [&](const ReplayNode& node) {
    return items_of(node, step.sizes) <= node.dims.grain;
  };
  KernelContext context = context_for(step.sizes, worker);
  for (size_t i = 0; i < nodes.size();) {
    size_t end = i + 1;
    const bool single = in_one_chunk(nodes[i]);
    // A chain of nodes that can't be shared stays with whoever took its head: a hand-over costs more than a
    // small node.
    if (single)
      while (end < nodes.size() && nodes[end].follows && in_one_chunk(nodes[end])) ++end;
    // The wait comes before the first look at the claims: those who wait leave that line to those who claim.
    for (const int32_t wait : plan.waits_of(nodes[i])) wait_for(wait, step.epoch);
    if (!single) {
      run_chunks(i, step, context);
    } else if (claim(states[i], step.epoch, Cut(1, 1), 1)) {
      for (size_t node = i; node < end; ++node) {
        run_whole(nodes[node], context);
        finish(node, step.epoch);
      }
    }
    i = end;
  }
}

void Replay::Impl::run_chunks(size_t index, const Walk& step, KernelContext& context) {
  const ReplayNode& node = plan.nodes()[index];
  const int64_t items = items_of(node, step.sizes);
  const Cut cut(items, node.dims.grain);
  uint32_t done = 0;
  while (const auto taken = claim(states[index], step.epoch, cut, static_cast<int>(step.workers))) {
    run_items(node, context, cut.begin(taken->first), cut.end(taken->first + taken->count));
    done += taken->count;
  }
  if (done > 0 && complete(states[index], step.epoch, done, cut.units)) finish(index, step.epoch);
}

void Replay::Impl::finish(size_t index, uint64_t epoch_done) {
  // Sequentially consistent with wait_for(): either it sees this, or this sees the sleeper.
  finished[index].store(static_cast<uint32_t>(epoch_done), std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) finished[index].notify_all();
}

void Replay::Impl::wait_for(int32_t index, uint64_t epoch_wanted) {
  std::atomic<uint32_t>& word = finished[static_cast<size_t>(index)];
  // Newer counts as well: a late worker must not wait for a step that is long done.
  const auto reached = [&](uint32_t seen) {
    return static_cast<int32_t>(seen - static_cast<uint32_t>(epoch_wanted)) >= 0;
  };
  if (spin_until([&] { return reached(word.load(std::memory_order_acquire)); })) return;
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  for (uint32_t seen = word.load(std::memory_order_seq_cst); !reached(seen);
       seen = word.load(std::memory_order_seq_cst))
    word.wait(seen, std::memory_order_seq_cst);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

StepSizes Replay::Impl::checked(StepSizes sizes) const {
  REPRISE_CHECK(sizes.tokens <= largest.tokens && sizes.seqs <= largest.seqs,
                "a step of {} tokens and {} sequences on a recording for at most {} and {}", sizes.tokens,
                sizes.seqs, largest.tokens, largest.seqs);
  if (fault_is_on(Fault::replay_drops_last_token)) --sizes.tokens;
  return sizes;
}

Replay::Replay(Recording recording, StepSizes largest, Stream& stream)
    : impl_(std::make_unique<Impl>(std::move(recording), largest, stream)) {}

Replay::~Replay() {
  impl_->stream.team().wait_until_left();
}

void Replay::run(StepSizes sizes, int workers) {
  ThreadTeam& team = impl_->stream.team();
  sizes = impl_->checked(sizes);
  workers = workers == 0 ? team.size() : std::min(workers, team.size());
  if (workers == 1) {
    const FlushDenormals flush;
    KernelContext context = impl_->context_for(sizes, 0);
    for (const ReplayNode& node : impl_->plan.nodes()) impl_->run_whole(node, context);
    return;
  }
  const uint64_t epoch = ++impl_->epoch;
  team.fork(Impl::Walk{impl_.get(), sizes, epoch, workers}, workers);
  for (const int32_t node : impl_->plan.last_nodes()) impl_->wait_for(node, epoch);
}

void Replay::run_profiled(StepSizes sizes, Profiler& profiler) {
  for (size_t i = 0; i < impl_->plan.nodes().size(); ++i) {
    const RecordedLaunch& launch = impl_->recording.launches()[i];
    const auto begin = Profiler::Clock::now();
    run_node(i, sizes);
    profiler.add({launch.kernel.name, launch.layer.empty() ? "model" : launch.layer, begin,
                  Profiler::Clock::now(), sizes});
  }
}

void Replay::run_node(size_t node, StepSizes sizes) {
  const FlushDenormals flush;
  KernelContext context = impl_->context_for(impl_->checked(sizes), 0);
  impl_->run_whole(impl_->plan.nodes()[node], context);
}

const Recording& Replay::recording() const {
  return impl_->recording;
}

std::span<const int32_t> Replay::dependencies_of(size_t node) const {
  return impl_->plan.waits_of(impl_->plan.nodes()[node]);
}

size_t Replay::bytes() const {
  const size_t nodes = impl_->plan.nodes().size();
  return sizeof(Impl) + impl_->recording.bytes() + impl_->plan.bytes() +
         nodes * (sizeof(NodeState) + sizeof(std::atomic<uint32_t>));
}

}  // namespace reprise::capture

#include "device/cpu/team_replay.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "core/error.h"
#include "core/fault.h"
#include "core/profiler.h"
#include "core/spin_wait.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/replay_plan.h"
#include "device/cpu/worker_choice.h"

namespace reprise::cpu {
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

// When a worker worked on a node, in the traced replay of that epoch.
struct Worked {
  uint64_t epoch = 0;  // 0: never
  Profiler::Clock::time_point begin, end;
};

struct Claim {
  uint32_t first;
  uint32_t count;  // of units
};

// Takes the next share of the units from `first` on; nothing where all are taken, or a newer replay is on.
std::optional<Claim> claim(NodeState& state, uint64_t epoch, const Cut& cut, uint32_t first, int workers) {
  uint64_t seen = state.claimed.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t next = epoch_of(seen) == epoch ? count_of(seen) : first;
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

struct TeamReplay::Impl {
  // What a worker gets: its own copy, since the next replay may begin before it has left this one.
  struct Walk {
    Impl* replay;
    StepSizes sizes;
    uint64_t epoch;
    int64_t workers;

    uint64_t first_turn() const { return epoch * replay->plan.nodes().size(); }
  };
  struct Plain : Walk {
    void operator()(int worker) const { replay->walk<false>(*this, worker); }
  };
  struct Traced : Walk {
    void operator()(int worker) const { replay->walk<true>(*this, worker); }
  };

  Impl(capture::Recording launches, StepSizes largest_sizes, CpuStream& on)
      : recording(std::move(launches)),
        largest(largest_sizes),
        stream(on),
        plan(recording, largest_sizes),
        workers(on.team().size(), plan.nodes().size()),
        states(std::make_unique<NodeState[]>(plan.nodes().size())),
        finished(std::make_unique<Finished[]>(plan.nodes().size())),
        first_shares(std::make_unique<FirstShares[]>(static_cast<size_t>(on.team().size()))) {}

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
  bool in_one_chunk(const ReplayNode& node, StepSizes sizes) const {
    return items_of(node, sizes) <= node.dims.grain;
  }
  int64_t items_of(const ReplayNode& node, StepSizes sizes) const {
    const int64_t items = node.dims.work_items(sizes);
    return fault_is_on(Fault::replay_loses_last_item, &node - plan.nodes().data()) ? items - 1 : items;
  }

  template <bool traced>
  void walk(const Walk& step, int worker);
  template <bool traced>
  void run_chunks(size_t index, const Walk& step, KernelContext& context);
  template <bool traced>
  uint32_t run_first_share(size_t index, int owner, const Walk& step, KernelContext& context);
  template <bool traced>
  void help(size_t last, const Walk& step, KernelContext& context);
  template <bool traced>
  void wait_for(int32_t index, const Walk& step, KernelContext& context);
  bool take_first_share(int owner, uint64_t turn);
  Worked* note_of(int worker, size_t node) {
    return &worked[static_cast<size_t>(worker) * plan.nodes().size() + node];
  }
  template <bool traced>
  void run_alone(StepSizes sizes, uint64_t epoch_run);
  void tell(StepSizes sizes, Profiler& profiler) const;
  void finish(size_t index, uint64_t epoch);
  StepSizes checked(StepSizes sizes) const;

  capture::Recording recording;
  StepSizes largest;
  CpuStream& stream;
  ReplayPlan plan;
  WorkerChoice workers;
  std::unique_ptr<NodeState[]> states;
  std::unique_ptr<Finished[]> finished;           // by node
  std::unique_ptr<FirstShares[]> first_shares;    // by worker
  alignas(64) std::atomic<uint32_t> sleepers{0};  // workers parked on one of `finished`
  uint64_t epoch = 0;
  // By worker and node. A worker writes where it claimed work, before it says that the work is done: so the
  // writes are ordered with tell(), which runs when all is done, and a late worker of an older replay writes
  // nothing.
  std::unique_ptr<Worked[]> worked;
};

// Times one piece of work where `traced`, and costs nothing where not.
template <bool traced>
class Timer;
template <>
class Timer<false> {
 public:
  explicit Timer(Worked*) {}
  void stop(uint64_t) {}
};
template <>
class Timer<true> {
 public:
  explicit Timer(Worked* worked) : worked_(worked), begin_(Profiler::Clock::now()) {}
  void stop(uint64_t epoch) {  // a worker may come back to a node, to help
    *worked_ = {epoch, worked_->epoch == epoch ? worked_->begin : begin_, Profiler::Clock::now()};
  }

 private:
  Worked* worked_;
  Profiler::Clock::time_point begin_;
};

// Every worker takes the nodes in their order, so the first that isn't finished can always go on: whatever it
// waits for is finished, and its chunks are either open or in the hands of a worker that runs.
template <bool traced>
void TeamReplay::Impl::walk(const Walk& step, int worker) {
  const auto nodes = plan.nodes();
  KernelContext context = stream.context_for(step.sizes, worker);
  for (size_t i = 0; i < nodes.size();) {
    size_t end = i + 1;
    const bool single = in_one_chunk(nodes[i], step.sizes);
    // The worker that starts a serial chain (nodes of one chunk, each waiting for the one before) runs all of
    // it: handing a small node over costs more than running it.
    if (single)
      while (end < nodes.size() && nodes[end].follows && in_one_chunk(nodes[end], step.sizes)) ++end;
    // The wait comes before the first look at the claims: those who wait leave that line to those who claim.
    for (const int32_t wait : plan.waits_of(nodes[i])) wait_for<traced>(wait, step, context);
    if (!single) {
      run_chunks<traced>(i, step, context);
    } else if (claim(states[i], step.epoch, Cut(1, 1), 0, 1)) {
      for (size_t node = i; node < end; ++node) {
        Timer<traced> timer(traced ? note_of(worker, node) : nullptr);
        run_whole(nodes[node], context);
        timer.stop(step.epoch);
        finish(node, step.epoch);
      }
    }
    i = end;
  }
  if (worker == 0)  // the caller's own call returns when all is done
    for (const int32_t node : plan.last_nodes()) wait_for<traced>(node, step, context);
}

template <bool traced>
void TeamReplay::Impl::run_chunks(size_t index, const Walk& step, KernelContext& context) {
  const ReplayNode& node = plan.nodes()[index];
  const Cut cut(items_of(node, step.sizes), node.dims.grain);
  const auto workers = static_cast<int>(step.workers);
  const uint32_t behind_first = cut.first_share(workers, workers);
  uint32_t done = 0;
  if (behind_first > 0 && take_first_share(context.worker, step.first_turn() + index))
    done += run_first_share<traced>(index, context.worker, step, context);
  Timer<traced> timer(traced ? note_of(context.worker, index) : nullptr);
  while (const auto taken = claim(states[index], step.epoch, cut, behind_first, workers)) {
    run_items(node, context, cut.begin(taken->first), cut.end(taken->first + taken->count));
    done += taken->count;
    timer.stop(step.epoch);
  }
  if (done > 0 && complete(states[index], step.epoch, done, cut.units)) finish(index, step.epoch);
}

// Runs the share that `owner` has of a node which is shared; how many units that were.
template <bool traced>
uint32_t TeamReplay::Impl::run_first_share(size_t index, int owner, const Walk& step,
                                           KernelContext& context) {
  const ReplayNode& node = plan.nodes()[index];
  const Cut cut(items_of(node, step.sizes), node.dims.grain);
  const auto workers = static_cast<int>(step.workers);
  const uint32_t first = cut.first_share(owner, workers), end = cut.first_share(owner + 1, workers);
  if (first == end) return 0;
  Timer<traced> timer(traced ? note_of(context.worker, index) : nullptr);
  run_items(node, context, cut.begin(first), cut.end(end));
  timer.stop(step.epoch);
  return end - first;
}

// Whether the share is the caller's to run now. All turns of `owner` before it that are shared are taken.
bool TeamReplay::Impl::take_first_share(int owner, uint64_t turn) {
  std::atomic<uint64_t>& next = first_shares[static_cast<size_t>(owner)].next;
  uint64_t seen = next.load(std::memory_order_acquire);
  while (seen <= turn)
    if (next.compare_exchange_weak(seen, turn + 1, std::memory_order_acq_rel, std::memory_order_acquire))
      return true;
  return false;
}

// Runs what workers that are away have left of their first shares, up to node `last`: this worker has been
// there, so what these nodes wait for is done.
template <bool traced>
void TeamReplay::Impl::help(size_t last, const Walk& step, KernelContext& context) {
  if (step.workers < Cut::kFirstShareWorkers) return;
  const uint64_t begin = step.first_turn();
  for (int owner = 0; owner < step.workers; ++owner) {
    const uint64_t next = first_shares[static_cast<size_t>(owner)].next.load(std::memory_order_acquire);
    for (uint64_t turn = std::max(next, begin); turn <= begin + last; ++turn) {
      const size_t index = turn - begin;
      const ReplayNode& node = plan.nodes()[index];
      if (in_one_chunk(node, step.sizes) || !take_first_share(owner, turn)) continue;
      const uint32_t done = run_first_share<traced>(index, owner, step, context);
      const Cut cut(items_of(node, step.sizes), node.dims.grain);
      if (done > 0 && complete(states[index], step.epoch, done, cut.units)) finish(index, step.epoch);
    }
  }
}

// On the caller, without atomics.
template <bool traced>
void TeamReplay::Impl::run_alone(StepSizes sizes, uint64_t epoch_run) {
  const FlushDenormals flush;
  KernelContext context = stream.context_for(sizes, 0);
  Worked* notes = worked.get();
  for (const ReplayNode& node : plan.nodes()) {
    Timer<traced> timer(notes);
    run_whole(node, context);
    timer.stop(epoch_run);
    if constexpr (traced) ++notes;
  }
}

// Adds the nodes of the last replay, which was traced.
void TeamReplay::Impl::tell(StepSizes sizes, Profiler& profiler) const {
  const size_t nodes = plan.nodes().size();
  std::vector<Profiler::Share> shares;
  for (size_t i = 0; i < nodes; ++i) {
    shares.clear();
    for (int worker = 0; worker < stream.team().size(); ++worker)
      if (const Worked& of = worked[static_cast<size_t>(worker) * nodes + i]; of.epoch == epoch)
        shares.push_back({worker, of.begin, of.end});
    if (shares.empty()) continue;  // a node without work items
    const capture::RecordedLaunch& launch = recording.launches()[i];
    Profiler::Event event{.name = launch.kernel.name,
                          .layer = launch.layer.empty() ? "model" : launch.layer,
                          .begin = shares[0].begin,
                          .end = shares[0].end,
                          .sizes = sizes};
    for (const Profiler::Share& share : shares) {
      event.begin = std::min(event.begin, share.begin);
      event.end = std::max(event.end, share.end);
    }
    profiler.add(event, shares);
  }
}

void TeamReplay::Impl::finish(size_t index, uint64_t epoch_done) {
  // Sequentially consistent with wait_for(): either it sees this, or this sees the sleeper.
  std::atomic<uint32_t>& word = finished[index].epoch;
  word.store(static_cast<uint32_t>(epoch_done), std::memory_order_seq_cst);
  if (sleepers.load(std::memory_order_seq_cst) > 0) word.notify_all();
}

template <bool traced>
void TeamReplay::Impl::wait_for(int32_t index, const Walk& step, KernelContext& context) {
  std::atomic<uint32_t>& word = finished[static_cast<size_t>(index)].epoch;
  // Newer counts as well: a late worker must not wait for a step that is long done.
  const auto reached = [&](uint32_t seen) {
    return static_cast<int32_t>(seen - static_cast<uint32_t>(step.epoch)) >= 0;
  };
  const auto done = [&] { return reached(word.load(std::memory_order_acquire)); };
  if (spin_briefly(done)) return;
  help<traced>(static_cast<size_t>(index), step, context);
  if (spin_until(done)) return;
  sleepers.fetch_add(1, std::memory_order_seq_cst);
  for (uint32_t seen = word.load(std::memory_order_seq_cst); !reached(seen);
       seen = word.load(std::memory_order_seq_cst))
    word.wait(seen, std::memory_order_seq_cst);
  sleepers.fetch_sub(1, std::memory_order_relaxed);
}

StepSizes TeamReplay::Impl::checked(StepSizes sizes) const {
  REPRISE_CHECK(sizes.tokens <= largest.tokens && sizes.seqs <= largest.seqs && sizes.rows <= largest.rows,
                "a step of {} tokens, {} sequences and {} rows on a recording for at most {}, {} and {}",
                sizes.tokens, sizes.seqs, sizes.rows, largest.tokens, largest.seqs, largest.rows);
  if (fault_is_on(Fault::replay_drops_last_token)) --sizes.tokens;
  return sizes;
}

TeamReplay::TeamReplay(capture::Recording recording, StepSizes largest, CpuStream& stream)
    : impl_(std::make_unique<Impl>(std::move(recording), largest, stream)) {}

TeamReplay::~TeamReplay() {
  impl_->stream.team().wait_until_left();
}

void TeamReplay::run(StepSizes sizes, Profiler* profiler) {
  using Clock = std::chrono::steady_clock;
  const auto [workers, timed] = impl_->workers.next(sizes.tokens);
  const Clock::time_point start = timed ? Clock::now() : Clock::time_point{};
  run_on(sizes, workers, profiler != nullptr);
  if (timed) impl_->workers.took(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  if (profiler != nullptr) tell(sizes, *profiler);
}

void TeamReplay::run_on(StepSizes sizes, int workers, bool traced) {
  ThreadTeam& team = impl_->stream.team();
  sizes = impl_->checked(sizes);
  workers = workers == 0 ? team.size() : std::min(workers, team.size());
  if (traced && impl_->worked == nullptr)
    impl_->worked = std::make_unique<Worked[]>(impl_->plan.nodes().size() * static_cast<size_t>(team.size()));
  const uint64_t epoch = ++impl_->epoch;
  if (workers == 1) {
    traced ? impl_->run_alone<true>(sizes, epoch) : impl_->run_alone<false>(sizes, epoch);
    return;
  }
  const Impl::Walk walk{impl_.get(), sizes, epoch, workers};
  traced ? team.fork(Impl::Traced{walk}, workers) : team.fork(Impl::Plain{walk}, workers);
}

void TeamReplay::tell(StepSizes sizes, Profiler& profiler) const {
  REPRISE_CHECK(impl_->worked != nullptr, "no replay was traced");
  impl_->tell(sizes, profiler);
}

void TeamReplay::run_node(size_t node, StepSizes sizes) {
  const FlushDenormals flush;
  KernelContext context = impl_->stream.context_for(impl_->checked(sizes), 0);
  impl_->run_whole(impl_->plan.nodes()[node], context);
}

const capture::Recording& TeamReplay::recording() const {
  return impl_->recording;
}

std::span<const int32_t> TeamReplay::waits_of(size_t node) const {
  return impl_->plan.waits_of(impl_->plan.nodes()[node]);
}

size_t TeamReplay::bytes() const {
  const size_t nodes = impl_->plan.nodes().size();
  return sizeof(Impl) + impl_->recording.bytes() + impl_->plan.bytes() +
         nodes * (sizeof(NodeState) + sizeof(Finished)) +
         static_cast<size_t>(impl_->stream.team().size()) * sizeof(FirstShares);
}

}  // namespace reprise::cpu

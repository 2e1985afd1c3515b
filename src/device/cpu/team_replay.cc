#include "device/cpu/team_replay.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/fault.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "device/cpu/claimed_walk.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/fixed_walk.h"
#include "device/cpu/replay_notes.h"
#include "device/cpu/replay_plan.h"
#include "device/cpu/replay_step.h"
#include "device/cpu/worker_choice.h"

namespace reprise::cpu {
namespace {

// A worker's job.
template <typename Walk, bool traced>
struct Job {
  Walk* walk;
  ReplayStep step;
  void operator()(int worker) const { walk->template walk<traced>(step, worker); }
};

template <typename Walk>
void fork(ThreadTeam& team, Walk& walk, const ReplayStep& step, bool traced) {
  const auto workers = static_cast<int>(step.workers);
  traced ? team.fork(Job<Walk, true>{&walk, step}, workers)
         : team.fork(Job<Walk, false>{&walk, step}, workers);
}

}  // namespace

struct TeamReplay::Impl {
  Impl(capture::Recording launches, StepSizes largest_sizes, CpuStream& on)
      : recording(std::move(launches)),
        largest(largest_sizes),
        stream(on),
        plan(recording, largest_sizes),
        choice(on.team().size(), plan.nodes().size()),
        notes(plan.nodes().size(), on.team().size()),
        claimed(plan, on, notes),
        fixed(plan, on, notes) {}

  template <bool traced>
  void run_alone(StepSizes sizes);
  void tell(StepSizes sizes, Profiler& profiler) const;
  StepSizes checked(StepSizes sizes) const;

  capture::Recording recording;
  StepSizes largest;
  CpuStream& stream;
  ReplayPlan plan;
  WorkerChoice choice;
  uint64_t epoch = 0;
  ReplayNotes notes;
  ClaimedWalk claimed;
  FixedWalk fixed;
};

// On the caller, without atomics.
template <bool traced>
void TeamReplay::Impl::run_alone(StepSizes sizes) {
  const FlushDenormals flush;
  KernelContext context = stream.context_for(sizes, 0);
  for (size_t node = 0; node < plan.nodes().size(); ++node) {
    Timer<traced> timer(notes, 0, node);
    plan.run_whole(node, context);
    timer.stop(epoch);
  }
}

// Adds the nodes of the last replay, which was traced.
void TeamReplay::Impl::tell(StepSizes sizes, Profiler& profiler) const {
  std::vector<Profiler::Share> shares;
  for (size_t i = 0; i < plan.nodes().size(); ++i) {
    notes.shares_of(i, epoch, shares);
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
  const auto [sharing, timed] = impl_->choice.next(sizes.tokens);
  const Clock::time_point start = timed ? Clock::now() : Clock::time_point{};
  run_on(sizes, sharing, profiler != nullptr);
  if (timed) impl_->choice.took(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  if (profiler != nullptr) tell(sizes, *profiler);
}

void TeamReplay::run_on(StepSizes sizes, Sharing sharing, bool traced) {
  ThreadTeam& team = impl_->stream.team();
  sizes = impl_->checked(sizes);
  const int most = sharing.fixed ? std::min(team.size(), FixedWalk::kMostWorkers) : team.size();
  const int workers = sharing.workers == 0 ? most : std::min(sharing.workers, most);
  if (traced) impl_->notes.make();
  const ReplayStep step{sizes, ++impl_->epoch, workers};
  if (workers == 1)
    traced ? impl_->run_alone<true>(sizes) : impl_->run_alone<false>(sizes);
  else if (sharing.fixed)
    fork(team, impl_->fixed, step, traced);
  else
    fork(team, impl_->claimed, step, traced);
}

void TeamReplay::run_largest_shares(StepSizes sizes, int workers) {
  const FlushDenormals flush;
  KernelContext context = impl_->stream.context_for(impl_->checked(sizes), 0);
  FixedWalk::run_largest_shares(impl_->plan, context, workers);
}

void TeamReplay::tell(StepSizes sizes, Profiler& profiler) const {
  REPRISE_CHECK(impl_->notes.there(), "no replay was traced");
  impl_->tell(sizes, profiler);
}

void TeamReplay::run_node(size_t node, StepSizes sizes) {
  const FlushDenormals flush;
  KernelContext context = impl_->stream.context_for(impl_->checked(sizes), 0);
  impl_->plan.run_whole(node, context);
}

const capture::Recording& TeamReplay::recording() const {
  return impl_->recording;
}

std::span<const int32_t> TeamReplay::waits_of(size_t node) const {
  return impl_->plan.waits_of(impl_->plan.nodes()[node]);
}

size_t TeamReplay::bytes() const {
  return sizeof(Impl) + impl_->recording.bytes() + impl_->plan.bytes() + impl_->claimed.bytes() +
         impl_->fixed.bytes();
}

}  // namespace reprise::cpu

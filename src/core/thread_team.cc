#include "core/thread_team.h"

#include <xmmintrin.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "core/error.h"
#include "core/spin_wait.h"

namespace reprise {
namespace {

constexpr unsigned kFlushToZero = 0x8000;
constexpr unsigned kDenormalsAreZero = 0x0040;

}  // namespace

FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
}
FlushDenormals::~FlushDenormals() {
  _mm_setcsr(saved_);
}

ThreadTeam::ThreadTeam(int size) : size_(size == 0 ? usable_cores() : size) {
  if (size_ < 1 || size_ > kMostThreads)
    throw Error("[thread team] {} threads asked for; use 1 to {}", size, kMostThreads);
  first_shares_ = std::make_unique<FirstShare[]>(static_cast<size_t>(size_));
  try {
    for (int worker = 1; worker < size_; ++worker)
      threads_.emplace_back([this, worker] { worker_loop(worker); });
  } catch (const std::system_error& e) {
    stop();
    throw Error("[thread team] cannot start {} threads: {}; free memory or use fewer with --threads", size_,
                e.what());
  } catch (...) {  // memory for the thread's state: those that run must be joined all the same
    stop();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  stop();
}

void ThreadTeam::stop() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (auto& thread : threads_) thread.join();
}

// The job of that generation; nothing where another one is on, or a fork.
std::optional<ThreadTeam::Work> ThreadTeam::work_of(uint32_t generation) const {
  const auto is_on = [&] {
    const uint64_t claim = claim_.load(std::memory_order_acquire);
    return static_cast<uint32_t>(claim >> 32) == generation && static_cast<uint32_t>(claim) != UINT32_MAX;
  };
  if (!is_on()) return std::nullopt;
  const Work work{job_.function.load(std::memory_order_acquire),
                  job_.argument.load(std::memory_order_acquire),
                  Cut(job_.items.load(std::memory_order_acquire), job_.grain.load(std::memory_order_acquire)),
                  job_.number.load(std::memory_order_acquire)};
  // run() closes the claim before it rewrites a field, so who has read a new field sees that here.
  return is_on() ? std::optional(work) : std::nullopt;
}

// Runs the first share of `owner` unless it is taken; how many units that were.
uint32_t ThreadTeam::run_first_share(const Work& work, int owner, int worker) {
  const uint32_t first = work.cut.first_share(owner, size_), end = work.cut.first_share(owner + 1, size_);
  if (first == end) return 0;
  std::atomic<uint64_t>& taken = first_shares_[static_cast<size_t>(owner)].taken;
  uint64_t seen = taken.load(std::memory_order_acquire);
  do {
    if (seen >= work.number) return 0;
    // Success proves that the job is still this one: it can't be complete without these units.
  } while (
      !taken.compare_exchange_weak(seen, work.number, std::memory_order_acq_rel, std::memory_order_acquire));
  work.function(work.argument, work.cut.begin(first), work.cut.end(end), worker);
  return end - first;
}

// Runs this worker's first share and then chunks of job `generation` until none is left.
void ThreadTeam::work(uint32_t generation, int worker) {
  const std::optional<Work> job = work_of(generation);
  if (!job) return;
  uint32_t done = run_first_share(*job, worker, worker);
  for (;;) {
    uint64_t claim = claim_.load(std::memory_order_acquire);
    const auto first = static_cast<uint32_t>(claim);
    if (static_cast<uint32_t>(claim >> 32) != generation || first >= job->cut.units) break;
    const uint32_t count = job->cut.share(first, size_);
    if (!claim_.compare_exchange_weak(claim, claim + count, std::memory_order_acq_rel)) continue;
    job->function(job->argument, job->cut.begin(first), job->cut.end(first + count), worker);
    done += count;
  }
  complete(done);
}

void ThreadTeam::complete(uint32_t units) {
  if (units > 0 && units_left_.fetch_sub(units, std::memory_order_acq_rel) == units) units_left_.notify_one();
}

void ThreadTeam::run(Function function, void* argument, int64_t items, int64_t grain) {
  if (items <= 0) return;
  const FlushDenormals flush;
  const Cut cut(items, grain);
  if (size_ == 1 || cut.units == 1) {
    function(argument, 0, items, 0);
    return;
  }
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  const Work job{function, argument, cut, job_.number.load(std::memory_order_relaxed) + 1};
  // Closed to workers that come late from the last job and would take the new fields for the old ones.
  claim_.store(static_cast<uint64_t>(generation) << 32 | UINT32_MAX, std::memory_order_relaxed);
  job_.function.store(function, std::memory_order_release);
  job_.argument.store(argument, std::memory_order_release);
  job_.items.store(items, std::memory_order_release);
  job_.grain.store(cut.grain, std::memory_order_release);
  job_.number.store(job.number, std::memory_order_release);
  units_left_.store(cut.units, std::memory_order_relaxed);
  claim_.store(static_cast<uint64_t>(generation) << 32 | cut.first_share(size_, size_),
               std::memory_order_release);
  announce(generation);

  work(generation, 0);
  const auto done = [this] { return units_left_.load(std::memory_order_acquire) == 0; };
  if (spin_briefly(done)) return;
  for (int owner = 1; owner < size_; ++owner) complete(run_first_share(job, owner, 0));
  if (!spin_until(done))
    for (uint32_t left = units_left_.load(std::memory_order_acquire); left != 0;
         left = units_left_.load(std::memory_order_acquire))
      units_left_.wait(left, std::memory_order_acquire);
}

void ThreadTeam::announce(uint32_t generation) {
  generation_.store(generation, std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();
}

void ThreadTeam::open_fork(Enter enter, const void* job, size_t bytes, int workers) {
  uint64_t words[kForkWords] = {};
  std::memcpy(words, job, bytes);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  claim_.store(static_cast<uint64_t>(generation) << 32 | UINT32_MAX, std::memory_order_relaxed);  // no chunks
  // The last fork is closed, so that who reads a field of this one sees that it is not the last one's.
  fork_.enter.store(enter, std::memory_order_release);
  for (size_t i = 0; i < kForkWords; ++i) fork_.words[i].store(words[i], std::memory_order_release);
  fork_.open.store(static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(workers),
                   std::memory_order_release);
  announce(generation);
}

void ThreadTeam::close_fork() {
  fork_.open.store(0, std::memory_order_seq_cst);
}

void ThreadTeam::enter_fork(uint32_t generation, int worker) {
  const auto invites = [&](uint64_t open) {
    return static_cast<uint32_t>(open >> 32) == generation &&
           static_cast<uint32_t>(worker) < static_cast<uint32_t>(open);
  };
  if (!invites(fork_.open.load(std::memory_order_acquire))) return;
  // First inside, then a second look at `open`: wait_until_left() after close_fork() either sees this worker
  // or this worker sees the fork closed. That second look also proves that the fields are those of this fork.
  inside_.fetch_add(1, std::memory_order_seq_cst);
  const Enter enter = fork_.enter.load(std::memory_order_acquire);
  uint64_t words[kForkWords];
  for (size_t i = 0; i < kForkWords; ++i) words[i] = fork_.words[i].load(std::memory_order_acquire);
  if (invites(fork_.open.load(std::memory_order_seq_cst))) enter(words, worker);
  if (inside_.fetch_sub(1, std::memory_order_seq_cst) == 1) inside_.notify_all();
}

void ThreadTeam::wait_until_left() {
  const auto left = [this] { return inside_.load(std::memory_order_seq_cst) == 0; };
  if (!spin_until(left))
    for (uint32_t inside = inside_.load(std::memory_order_seq_cst); inside != 0;
         inside = inside_.load(std::memory_order_seq_cst))
      inside_.wait(inside, std::memory_order_seq_cst);
}

void ThreadTeam::worker_loop(int worker) {
  const FlushDenormals flush;
  uint32_t seen = 0;
  for (;;) {
    const auto changed = [&] { return generation_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed)) {
      parked_.fetch_add(1, std::memory_order_seq_cst);
      generation_.wait(seen, std::memory_order_seq_cst);
      parked_.fetch_sub(1, std::memory_order_relaxed);
    }
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_acquire)) return;
    work(seen, worker);
    enter_fork(seen, worker);
  }
}

}  // namespace reprise

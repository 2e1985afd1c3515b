#include "core/thread_team.h"

#include <sched.h>
#include <xmmintrin.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>
#include <system_error>

#include "core/error.h"

namespace reprise {
namespace {

// CPU quota of the cgroup in cores, or infinity. Version 2: "max 100000" or "200000 100000" in cpu.max;
// version 1 has the two numbers in two files.
double cgroup_cores() {
  std::string quota;
  double period = 0;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period) {
    if (quota != "max" && period > 0) return std::stod(quota) / period;
    return INFINITY;
  }
  double microseconds = 0;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota >> microseconds && v1_period >> period && microseconds > 0 && period > 0)
    return microseconds / period;
  return INFINITY;
}

// How long an idle worker or a waiting caller spins before it parks. Launches of a step follow each other
// within microseconds; a park and wake costs about 5 us and, with other runnable threads on the core,
// spinning longer only burns the time slice that the suspended worker needs.
constexpr std::chrono::microseconds kSpin{30};

template <typename Done>
bool spin_until(Done&& done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      _mm_pause();
    }
    if (std::chrono::steady_clock::now() > deadline) return done();
  }
}

constexpr unsigned kFlushToZero = 0x8000;
constexpr unsigned kDenormalsAreZero = 0x0040;

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  return std::max(1, std::min(cores, static_cast<int>(std::ceil(std::min(cgroup_cores(), 4096.0)))));
}

FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
}
FlushDenormals::~FlushDenormals() {
  _mm_setcsr(saved_);
}

ThreadTeam::ThreadTeam(int size) : size_(size == 0 ? usable_cores() : size) {
  if (size_ < 1 || size_ > 1024) throw Error("[thread team] {} threads asked for; use 1 to 1024", size);
  try {
    for (int worker = 1; worker < size_; ++worker)
      threads_.emplace_back([this, worker] { worker_loop(worker); });
  } catch (const std::system_error& e) {
    stopping_ = true;
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto& thread : threads_) thread.join();
    throw Error("[thread team] cannot start {} threads: {}; use fewer with --threads", size_, e.what());
  }
}

ThreadTeam::~ThreadTeam() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (auto& thread : threads_) thread.join();
}

// Claims and runs chunks of job `generation` until none is left. False when another job is on.
bool ThreadTeam::work(uint32_t generation, int worker) {
  for (;;) {
    uint64_t claim = claim_.load(std::memory_order_acquire);
    if (static_cast<uint32_t>(claim >> 32) != generation) return false;
    const auto function = job_.function.load(std::memory_order_acquire);
    void* argument = job_.argument.load(std::memory_order_acquire);
    const int64_t items = job_.items.load(std::memory_order_acquire);
    const int64_t grain = job_.grain.load(std::memory_order_acquire);
    const uint32_t units = job_.units.load(std::memory_order_acquire);
    const auto first = static_cast<uint32_t>(claim);
    if (first >= units) return true;
    const uint32_t count = std::max<uint32_t>(1, (units - first) / static_cast<uint32_t>(2 * size_));
    // Success proves that the job is still this one: run() closes the claim before it rewrites a field, so a
    // worker that has read a new field can't succeed with the old claim.
    if (!claim_.compare_exchange_weak(claim, claim + count, std::memory_order_acq_rel)) continue;
    const int64_t begin = first * grain;
    function(argument, begin, std::min(items, begin + count * grain), worker);
    if (units_left_.fetch_sub(count, std::memory_order_acq_rel) == count) units_left_.notify_one();
  }
}

void ThreadTeam::run(Function function, void* argument, int64_t items, int64_t grain) {
  if (items <= 0) return;
  const FlushDenormals flush;
  grain = std::max<int64_t>(grain, 1);
  if (size_ == 1 || items <= grain) {
    function(argument, 0, items, 0);
    return;
  }
  grain = std::max(grain, (items >> 31) + 1);  // so that units and claims fit into half a word
  const auto units = static_cast<uint32_t>((items + grain - 1) / grain);
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  // Closed to workers that come late from the last job and would take the new fields for the old ones.
  claim_.store(static_cast<uint64_t>(generation) << 32 | UINT32_MAX, std::memory_order_relaxed);
  job_.function.store(function, std::memory_order_release);
  job_.argument.store(argument, std::memory_order_release);
  job_.items.store(items, std::memory_order_release);
  job_.grain.store(grain, std::memory_order_release);
  job_.units.store(units, std::memory_order_release);
  units_left_.store(units, std::memory_order_relaxed);
  claim_.store(static_cast<uint64_t>(generation) << 32, std::memory_order_release);
  generation_.store(generation, std::memory_order_seq_cst);
  if (parked_.load(std::memory_order_seq_cst) > 0) generation_.notify_all();

  work(generation, 0);
  const auto done = [this] { return units_left_.load(std::memory_order_acquire) == 0; };
  if (!spin_until(done))
    for (uint32_t left = units_left_.load(std::memory_order_acquire); left != 0;
         left = units_left_.load(std::memory_order_acquire))
      units_left_.wait(left, std::memory_order_acquire);
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
  }
}

}  // namespace reprise

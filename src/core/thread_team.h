// A fixed team of workers for fork-join over ranges of work items. The caller is worker 0 and works too. In a
// large team each worker has a first share, which it takes in a cache line of its own; the rest, or all, is
// claimed in chunks from one atomic word. The caller takes the first share of a worker that is away (the
// system may have suspended it), so that it delays nobody. Chunks shrink with what is left: large ones first,
// which read memory as one stream, small ones last, so that the workers finish together. Workers spin briefly
// between jobs, then sleep; nothing is allocated per job.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/process_limits.h"

namespace reprise {

// Flush-to-zero and denormals-are-zero for the current scope of this thread: part of the numeric contract,
// set around every kernel.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

// How work items are cut: units of `grain` items. In a large team each worker has a first share, three
// quarters of the units in all or one each; of what is behind those a claim takes a share of what is left.
struct Cut {
  static constexpr uint32_t kMostUnits = 0xffff;  // so that units and claims fit into parts of a word
  // Workers from which on there are first shares. Fewer hardly disturb each other at one word, and one that is
  // late then leaves its part to the others: two workers lost 5 % of a step of 250 us by first shares.
  static constexpr int kFirstShareWorkers = 8;

  int64_t items;
  int64_t grain;
  uint32_t units;

  Cut(int64_t of, int64_t least)
      : items(of),
        grain(std::max({int64_t{1}, least, (of + kMostUnits - 1) / kMostUnits})),
        units(static_cast<uint32_t>((std::max<int64_t>(of, 1) + grain - 1) / grain)) {}

  // First unit of the first share of `worker`; of `workers` itself: of what is behind all of them.
  uint32_t first_share(int worker, int workers) const {
    if (workers < kFirstShareWorkers) return 0;
    const uint32_t each = std::max(1u, units * 3 / static_cast<uint32_t>(4 * workers));
    return std::min(units, static_cast<uint32_t>(worker) * each);
  }
  uint32_t share(uint32_t first, int workers) const {
    const auto parts = static_cast<uint32_t>(4 * workers);
    return ((units - first) * 3 + parts - 1) / parts;
  }
  int64_t begin(uint32_t unit) const { return unit * grain; }
  int64_t end(uint32_t unit) const { return std::min(items, unit * grain); }  // of the units before `unit`
};

class ThreadTeam {
 public:
  // `size` counts the caller, 1 to kMostThreads; 0 means usable_cores(). Throws Error when threads can't be
  // started.
  explicit ThreadTeam(int size = 0);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  using Function = void (*)(void* argument, int64_t begin, int64_t end, int worker);

  // Calls function over [0, items) in chunks of whole multiples of `grain`, returns when all are done. Called
  // by one thread at a time, never from inside a job. Kernels don't throw.
  void run(Function function, void* argument, int64_t items, int64_t grain);

  template <typename F>
  void parallel_for(int64_t items, int64_t grain, F&& body) {  // body(begin, end, worker)
    run([](void* f, int64_t begin, int64_t end,
           int worker) { (*static_cast<std::remove_reference_t<F>*>(f))(begin, end, worker); },
        &body, items, grain);
  }

  // Runs job(worker) on up to `workers` (1 to size()) workers at once; how they share the work is up to the
  // job. Each worker gets a copy of the job and enters it at most once; the caller is worker 0. Returns when
  // the caller's own call returns, so job(0) must not return before the work is done. A worker that the
  // system suspended may enter after that: it must find nothing to do, and what the job points to must live
  // until wait_until_left(). Called by one thread at a time, never from inside a job.
  template <typename Job>
  void fork(const Job& job, int workers) {
    static_assert(std::is_trivially_copyable_v<Job> && sizeof(Job) <= kForkWords * sizeof(uint64_t) &&
                  alignof(Job) <= alignof(uint64_t));
    const FlushDenormals flush;
    if (workers == 1) {
      job(0);
      return;
    }
    open_fork([](const void* copy, int worker) { (*static_cast<const Job*>(copy))(worker); }, &job,
              sizeof(Job), workers);
    job(0);
    close_fork();
  }
  // Returns when no worker is inside of a fork's job any more. Called as run() is.
  void wait_until_left();

  int size() const { return size_; }

 private:
  struct alignas(64) Job {
    // Fields are atomics: a late worker may read them while the next job is written; its claim then fails.
    std::atomic<Function> function{nullptr};
    std::atomic<void*> argument{nullptr};
    std::atomic<int64_t> items{0};
    std::atomic<int64_t> grain{1};
    std::atomic<uint64_t> number{0};  // counts the jobs of run()
  };
  // The same as a worker has read it.
  struct Work {
    Function function;
    void* argument;
    Cut cut;
    uint64_t number;
  };
  struct alignas(64) FirstShare {
    std::atomic<uint64_t> taken{0};  // number of the last job of which it is taken
  };

  // What fork() gives to the workers, copied word by word for the same reason.
  static constexpr size_t kForkWords = 6;
  using Enter = void (*)(const void* job, int worker);
  struct alignas(64) Fork {
    std::atomic<uint64_t> open{0};  // generation << 32 | workers invited; 0: closed
    std::atomic<Enter> enter{nullptr};
    std::array<std::atomic<uint64_t>, kForkWords> words{};
  };

  void worker_loop(int worker);
  void stop();
  void announce(uint32_t generation);
  void open_fork(Enter enter, const void* job, size_t bytes, int workers);
  void close_fork();
  void enter_fork(uint32_t generation, int worker);
  std::optional<Work> work_of(uint32_t generation) const;
  void work(uint32_t generation, int worker);
  uint32_t run_first_share(const Work& work, int owner, int worker);
  void complete(uint32_t units);

  int size_;
  Job job_;
  std::unique_ptr<FirstShare[]> first_shares_;  // by worker
  Fork fork_;
  alignas(64) std::atomic<uint64_t> claim_{0};       // generation << 32 | next unit
  alignas(64) std::atomic<uint32_t> generation_{0};  // what parked workers wait on
  alignas(64) std::atomic<uint32_t> parked_{0};
  alignas(64) std::atomic<uint32_t> units_left_{0};
  alignas(64) std::atomic<uint32_t> inside_{0};  // workers in a fork's job
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace reprise

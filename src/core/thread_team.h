// A fixed team of workers for fork-join over ranges of work items. The caller is worker 0 and works too.
// Items are claimed in chunks from one atomic word, so a worker that the system has suspended before it
// claimed anything holds nobody up. Chunks shrink with what is left: large ones first, which read memory as
// one stream, small ones last, so that the workers finish together. Workers spin briefly between jobs, then
// park; nothing is allocated per job.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace reprise {

// Cores that this process may use: the affinity mask, cut by the cgroup's CPU quota; at least 1.
int usable_cores();

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

class ThreadTeam {
 public:
  // `size` counts the caller; 0 means usable_cores(). Throws Error when threads can't be started.
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

  int size() const { return size_; }

 private:
  struct alignas(64) Job {
    // Fields are atomics: a late worker may read them while the next job is written; its claim then fails.
    std::atomic<Function> function{nullptr};
    std::atomic<void*> argument{nullptr};
    std::atomic<int64_t> items{0};
    std::atomic<int64_t> grain{1};
    std::atomic<uint32_t> units{0};  // of `grain` items
  };

  void worker_loop(int worker);
  bool work(uint32_t generation, int worker);

  int size_;
  Job job_;
  alignas(64) std::atomic<uint64_t> claim_{0};       // generation << 32 | next unit
  alignas(64) std::atomic<uint32_t> generation_{0};  // what parked workers wait on
  alignas(64) std::atomic<uint32_t> parked_{0};
  alignas(64) std::atomic<uint32_t> units_left_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace reprise

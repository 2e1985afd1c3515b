// What both ways through a replay share (claimed_walk.h, fixed_walk.h).
#pragma once

#include <atomic>
#include <cstdint>

#include "core/launch.h"
#include "core/spin_wait.h"
#include "device/cpu/replay_plan.h"

namespace reprise::cpu {

// One replay on several workers. Each gets its own copy, since the next replay may begin before it has left this one.
// Replays are counted from 1, their epoch: words that say how far something is carry it, so that nothing is reset
// between replays, and a worker that comes late from an old one finds newer words and nothing to do.
struct ReplayStep {
  StepSizes sizes;
  uint64_t epoch;
  int64_t workers;
};

// Workers that sleep until a word says that something is done.
class Sleepers {
 public:
  // `is_done` looks at `word`, sequentially consistent.
  template <typename Word, typename IsDone>
  void sleep(std::atomic<Word>& word, IsDone&& is_done) {
    count_.fetch_add(1, std::memory_order_seq_cst);
    for (Word seen = word.load(std::memory_order_seq_cst); !is_done(seen);
         seen = word.load(std::memory_order_seq_cst))
      word.wait(seen, std::memory_order_seq_cst);
    count_.fetch_sub(1, std::memory_order_relaxed);
  }
  // Either a sleeper sees the new value, or this sees the sleeper.
  template <typename Word>
  void set(std::atomic<Word>& word, Word value) {
    word.store(value, std::memory_order_seq_cst);
    if (count_.load(std::memory_order_seq_cst) > 0) word.notify_all();
  }

 private:
  alignas(64) std::atomic<uint32_t> count_{0};
};

}  // namespace reprise::cpu

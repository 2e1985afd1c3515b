// When workers worked on which node of a replay, for traces. Costs nothing where nobody asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/profiler.h"

namespace reprise::cpu {

// When a worker worked on a node, in the traced replay of that epoch (replays are counted from 1).
struct Worked {
  uint64_t epoch = 0;  // 0: never
  Profiler::Clock::time_point begin, end;
};

// By worker and node. A worker writes where it took work, before it says that the work is done: so the writes are
// ordered with shares_of(), which is called when all is done, and a late worker of an older replay writes nothing.
class ReplayNotes {
 public:
  ReplayNotes(size_t nodes, int workers) : nodes_(nodes), workers_(workers) {}

  bool there() const { return notes_ != nullptr; }
  void make() {
    if (notes_ == nullptr) notes_ = std::make_unique<Worked[]>(nodes_ * static_cast<size_t>(workers_));
  }
  Worked* of(int worker, size_t node) { return &notes_[static_cast<size_t>(worker) * nodes_ + node]; }
  void shares_of(size_t node, uint64_t epoch, std::vector<Profiler::Share>& shares) const {
    shares.clear();
    for (int worker = 0; worker < workers_; ++worker)
      if (const Worked& note = notes_[static_cast<size_t>(worker) * nodes_ + node]; note.epoch == epoch)
        shares.push_back({worker, note.begin, note.end});
  }

 private:
  size_t nodes_;
  int workers_;
  std::unique_ptr<Worked[]> notes_;
};

// Times one piece of work where `traced`.
template <bool traced>
class Timer;
template <>
class Timer<false> {
 public:
  Timer(ReplayNotes&, int, size_t) {}
  void stop(uint64_t) {}
};
template <>
class Timer<true> {
 public:
  Timer(ReplayNotes& notes, int worker, size_t node)
      : worked_(notes.of(worker, node)), begin_(Profiler::Clock::now()) {}
  void stop(uint64_t epoch) {  // a worker may come back to a node, to help
    *worked_ = {epoch, worked_->epoch == epoch ? worked_->begin : begin_, Profiler::Clock::now()};
  }

 private:
  Worked* worked_;
  Profiler::Clock::time_point begin_;
};

}  // namespace reprise::cpu

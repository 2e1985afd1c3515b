// How many workers replay a step fastest. For a small step, passing work between workers costs more time than
// it saves; from which size on it pays depends on the machine, the kernels and what else runs. So it is
// measured: the first replays of each size are timed with all workers, then half as many and so on, and the
// fastest number is used from then on. Results of a replay don't depend on it.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace reprise::cpu {

// One thread. Sizes are classed by powers of two of T.
class WorkerChoice {
 public:
  static constexpr int kTrials = 5;           // replays of each number tried; their median counts
  static constexpr int kReplaysUntil = 4096;  // the next trials, for the machine's load changes

  // The most replays of a class that are timed before the number of workers stays as it is.
  static constexpr int most_trials(int team) {
    return team == 1 ? 0 : kTrials * std::bit_width(static_cast<unsigned>(team));
  }

  // `team`: workers there are. `nodes` of the replay: where it takes more than a few microseconds for each
  // with all workers, fewer workers could not be faster and are not tried.
  WorkerChoice(int team, size_t nodes);

  // For the replay that comes next, of T tokens; whether took() wants to hear of it.
  struct Turn {
    int workers;
    bool timed;
  };
  Turn next(int64_t tokens);
  // What the replay of the last next() took.
  void took(double us);

 private:
  struct Class {
    int tried = 0;  // workers of the trial under way; 0: none is
    int best = 0;   // 0: nothing is known yet
    double best_us = 0;
    int count = 0;  // replays of this trial; between trials, since the last
    std::array<double, kTrials> us{};
  };

  int team_;
  double surely_shared_us_;
  std::array<Class, 33> classes_{};  // by bit width of T
  size_t last_ = 0;                  // class of the last next()
};

}  // namespace reprise::cpu

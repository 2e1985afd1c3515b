// How many workers replay a step fastest, and how they share it. For a small step, passing work between workers costs
// more time than it saves; from which size on it pays depends on the machine, the kernels and what else runs. So it is
// measured: the first replays of each size are timed with all workers, by claims and with fixed shares, then with half as
// many and so on, and the fastest way is used from then on. Results of a replay don't depend on it.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace reprise::cpu {

// How a replay is shared: by claims (claimed_walk.h), or each worker with a fixed part of each node (fixed_walk.h).
struct Sharing {
  int workers;  // 0: all
  bool fixed;
  constexpr Sharing(int by = 0, bool with_fixed_shares = false)  // NOLINT: so many workers, by claims
      : workers(by), fixed(with_fixed_shares) {}
  bool operator==(const Sharing&) const = default;
};

// One thread. Sizes are classed by powers of two of T.
class WorkerChoice {
 public:
  static constexpr int kTrials = 5;           // replays of each way tried; their median counts
  static constexpr int kReplaysUntil = 4096;  // the next trials, for the machine's load changes

  // The most replays of a class that are timed before the way stays as it is.
  static constexpr int most_trials(int team) {
    return team == 1 ? 0 : kTrials * (2 * std::bit_width(static_cast<unsigned>(team)) - 1);
  }

  // `team`: workers there are. `nodes` of the replay: where it takes more than a few microseconds for each with all
  // workers, fewer could not be faster and are not tried, and where it takes long, fixed shares are not tried either.
  WorkerChoice(int team, size_t nodes);

  // For the replay that comes next, of T tokens; whether took() wants to hear of it.
  struct Turn {
    Sharing sharing;
    bool timed;
  };
  Turn next(int64_t tokens);
  // What the replay of the last next() took.
  void took(double us);

 private:
  struct Class {
    Sharing tried;  // the trial under way; 0 workers: none is
    Sharing best;   // 0 workers: nothing is known yet
    double best_us = 0;
    double of_workers_us = 0;  // the least with as many workers as are tried now
    int count = 0;             // replays of this trial; between trials, since the last
    std::array<double, kTrials> us{};
  };

  int team_;
  double nodes_;
  std::array<Class, 33> classes_{};  // by bit width of T
  size_t last_ = 0;                  // class of the last next()
};

}  // namespace reprise::cpu

#include "device/cpu/worker_choice.h"

#include <algorithm>
#include <bit>

#include "device/cpu/fixed_walk.h"

namespace reprise::cpu {
namespace {

// A hand-over between two workers costs about 1 us (bench/capture). Where a node takes several times that, a
// trial on fewer workers could only find what is known, at the price of a slow step.
constexpr double kSurelySharedUs = 4;
// Where a node takes as long as this, fixed shares gain nothing that can be measured, and wait for a worker that the
// machine has slowed down.
constexpr double kLongNodeUs = 16;
// A number that is so much slower than the best ends the search: fewer will be slower still.
constexpr double kClearlySlower = 1.25;

}  // namespace

WorkerChoice::WorkerChoice(int team, size_t nodes) : team_(team), nodes_(static_cast<double>(nodes)) {}

WorkerChoice::Turn WorkerChoice::next(int64_t tokens) {
  if (team_ == 1) return {1, false};
  last_ = std::min<size_t>(std::bit_width(static_cast<uint64_t>(tokens)), classes_.size() - 1);
  Class& sizes = classes_[last_];
  if (sizes.tried.workers == 0 && (sizes.best.workers == 0 || ++sizes.count == kReplaysUntil)) {
    sizes.tried = team_;
    sizes.count = 0;
  }
  return sizes.tried.workers == 0 ? Turn{sizes.best, false} : Turn{sizes.tried, true};
}

void WorkerChoice::took(double us) {
  Class& sizes = classes_[last_];
  sizes.us[static_cast<size_t>(sizes.count)] = us;
  if (++sizes.count < kTrials) return;
  sizes.count = 0;
  std::nth_element(sizes.us.begin(), sizes.us.begin() + kTrials / 2, sizes.us.end());
  const double median = sizes.us[kTrials / 2];
  const Sharing tried = sizes.tried;
  const bool is_first = tried == Sharing(team_);
  if (is_first || median < sizes.best_us) {
    sizes.best = tried;
    sizes.best_us = median;
  }
  sizes.of_workers_us = tried.fixed ? std::min(sizes.of_workers_us, median) : median;
  const bool may_fix = !tried.fixed && tried.workers > 1 && tried.workers <= FixedWalk::kMostWorkers;
  const bool is_long = is_first && median > kLongNodeUs * nodes_;
  const bool fewer_are_slower = tried.workers == 1 || sizes.of_workers_us > kClearlySlower * sizes.best_us ||
                                (tried.workers == team_ && sizes.of_workers_us > kSurelySharedUs * nodes_);
  if (may_fix && !is_long)
    sizes.tried.fixed = true;
  else
    sizes.tried = fewer_are_slower ? 0 : tried.workers / 2;
}

}  // namespace reprise::cpu

#include "device/cpu/worker_choice.h"

#include <algorithm>
#include <bit>

namespace reprise::cpu {
namespace {

// A hand-over between two workers costs about 1 us (bench/capture). Where a node takes several times that, a
// trial on fewer workers could only find what is known, at the price of a slow step.
constexpr double kSurelySharedUs = 4;
// A number that is so much slower than the best ends the search: fewer will be slower still.
constexpr double kClearlySlower = 1.25;

}  // namespace

WorkerChoice::WorkerChoice(int team, size_t nodes)
    : team_(team), surely_shared_us_(kSurelySharedUs * static_cast<double>(nodes)) {}

WorkerChoice::Turn WorkerChoice::next(int64_t tokens) {
  if (team_ == 1) return {1, false};
  last_ = std::min<size_t>(std::bit_width(static_cast<uint64_t>(tokens)), classes_.size() - 1);
  Class& sizes = classes_[last_];
  if (sizes.tried == 0 && (sizes.best == 0 || ++sizes.count == kReplaysUntil)) {
    sizes.tried = team_;
    sizes.count = 0;
  }
  return sizes.tried == 0 ? Turn{sizes.best, false} : Turn{sizes.tried, true};
}

void WorkerChoice::took(double us) {
  Class& sizes = classes_[last_];
  sizes.us[static_cast<size_t>(sizes.count)] = us;
  if (++sizes.count < kTrials) return;
  sizes.count = 0;
  std::nth_element(sizes.us.begin(), sizes.us.begin() + kTrials / 2, sizes.us.end());
  const double median = sizes.us[kTrials / 2];
  if (sizes.tried == team_ || median < sizes.best_us) {
    sizes.best = sizes.tried;
    sizes.best_us = median;
  }
  const bool ends = sizes.tried == 1 || median > kClearlySlower * sizes.best_us ||
                    (sizes.tried == team_ && median > surely_shared_us_);
  sizes.tried = ends ? 0 : sizes.tried / 2;
}

}  // namespace reprise::cpu

#include "capture/missing_waits.h"

#include <vector>

namespace reprise::capture {
namespace {

bool clash(const RecordedBuffer& a, const RecordedBuffer& b, StepSizes largest) {
  if (a.absent || b.absent || (a.access == Access::read && b.access == Access::read)) return false;
  return a.address < b.address + b.extent.eval(largest) && b.address < a.address + a.extent.eval(largest);
}

// The buffer of `later` that clashes with one of `earlier`.
std::optional<size_t> clashing_buffer(const Recording& recording, const RecordedLaunch& earlier,
                                      const RecordedLaunch& later, StepSizes largest) {
  const auto buffers = recording.buffers_of(later);
  for (size_t i = 0; i < buffers.size(); ++i)
    for (const RecordedBuffer& other : recording.buffers_of(earlier))
      if (clash(buffers[i], other, largest)) return i;
  return std::nullopt;
}

}  // namespace

std::optional<MissingWait> first_missing_wait(const Executable& replay, StepSizes largest) {
  const Recording& recording = replay.recording();
  const auto launches = recording.launches();
  std::vector<std::vector<bool>> done_before(launches.size());  // by launch: who is done when it starts
  for (size_t later = 0; later < launches.size(); ++later) {
    std::vector<bool>& done = done_before[later];
    done.assign(launches.size(), false);
    for (const int32_t wait : replay.waits_of(later)) {
      const auto awaited = static_cast<size_t>(wait);
      done[awaited] = true;
      for (size_t i = 0; i < awaited; ++i)
        if (done_before[awaited][i]) done[i] = true;
    }
    for (size_t earlier = 0; earlier < later; ++earlier) {
      if (done[earlier]) continue;
      if (const auto buffer = clashing_buffer(recording, launches[earlier], launches[later], largest))
        return MissingWait{earlier, later, *buffer};
    }
  }
  return std::nullopt;
}

}  // namespace reprise::capture

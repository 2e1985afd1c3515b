// Waiting for another worker of the team: spin for a while, then let the caller park. Launches of a step
// follow each other within microseconds, and a park and wake costs about 5 us; but where other threads can
// run on the core, spinning longer only burns the time slice that the suspended worker needs.
#pragma once

#include <xmmintrin.h>

#include <chrono>

namespace reprise {

inline constexpr std::chrono::microseconds kSpin{30};

// Whether `done()` came true within a microsecond or a few: most waits are that short, and what a worker does
// about those that are not costs the others time.
template <typename Done>
bool spin_briefly(Done&& done) {
  for (int i = 0; i < 64; ++i) {
    if (done()) return true;
    _mm_pause();
  }
  return false;
}

// Whether `done()` came true within kSpin.
template <typename Done>
bool spin_until(Done&& done) {
  std::chrono::steady_clock::time_point deadline{};  // set after a first round: most waits are shorter
  for (;;) {
    if (spin_briefly(done)) return true;
    const auto now = std::chrono::steady_clock::now();
    if (deadline == std::chrono::steady_clock::time_point{})
      deadline = now + kSpin;
    else if (now > deadline)
      return done();
  }
}

}  // namespace reprise

// Waiting for another worker of the team: spin for a while, then let the caller park. Launches of a step
// follow each other within microseconds, and a park and wake costs about 5 us; but where other threads can
// run on the core, spinning longer only burns the time slice that the suspended worker needs.
#pragma once

#include <xmmintrin.h>

#include <chrono>

namespace reprise {

inline constexpr std::chrono::microseconds kSpin{30};

// Whether `done()` came true within so many pauses, each of 20 to 60 ns.
template <typename Done>
bool spin_for(int pauses, Done&& done) {
  for (int i = 0; i < pauses; ++i) {
    if (done()) return true;
    _mm_pause();
  }
  return false;
}

// The same for waits that are nearly over: longer ones are better spent on the work that is waited for.
template <typename Done>
bool spin_briefly(Done&& done) {
  return spin_for(8, done);
}

// Whether `done()` came true within kSpin.
template <typename Done>
bool spin_until(Done&& done) {
  std::chrono::steady_clock::time_point deadline{};  // set after a first round: most waits are shorter
  for (;;) {
    if (spin_for(64, done)) return true;
    const auto now = std::chrono::steady_clock::now();
    if (deadline == std::chrono::steady_clock::time_point{})
      deadline = now + kSpin;
    else if (now > deadline)
      return done();
  }
}

}  // namespace reprise

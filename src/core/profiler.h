// Times what runs: phases of the engine's step, launches, and, for a launch of a replay, the part that each
// worker had in it. Sums by kernel for a profile; single events for a Chrome trace (chrome://tracing,
// Perfetto).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"

namespace reprise {

// One thread: that of the stream. Allocates as events come in; whoever times inside of workers keeps the
// times in memory of its own and adds them afterwards (capture/replay.h).
class Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  // A step's phases end with this one (docs/engine_contract.md).
  static constexpr std::string_view kLastPhase = "publish";

  struct Event {
    std::string_view name;   // kernel, or a phase of the step
    std::string_view layer;  // empty: a phase of the engine's step
    Clock::time_point begin;
    Clock::time_point end;  // of a launch: when its last work item was done, by whichever worker
    StepSizes sizes;
  };
  // When one worker worked on a launch: from its first work item to its last.
  struct Share {
    int worker;
    Clock::time_point begin;
    Clock::time_point end;
  };

  // A phase is added when it ends, after the launches in it. Phases don't overlap.
  void add(const Event& event) { events_.push_back(event); }
  // A launch whose workers were timed one by one; `shares` isn't empty.
  void add(const Event& launch, std::span<const Share> shares);
  const std::vector<Event>& events() const { return events_; }

  // {"traceEvents": [...]}, times in microseconds since the first event. Tracks: 0 the phases of the step, 1
  // the launches that run one at a time on the whole team, 2 + w what worker w did in replays. The file is
  // replaced whole or not at all. Throws Error when it can't be written.
  void write_chrome_trace(const std::filesystem::path& path) const;

  // Time of a step's phases in which no launch ran, the mean over the steps of one token a sequence. What
  // runs outside of phases (warm-ups, verification) doesn't count.
  double host_us_per_decode_step() const;

  // Lines "kernel  calls  total ms  share", longest first. The time of a launch is that from its first work
  // item to its last; launches of a replay may overlap, so that the sum may exceed the step's time.
  std::string summary() const;

 private:
  struct ShareOf {
    size_t event;
    Share share;
  };
  std::vector<Event> events_;
  std::vector<ShareOf> shares_;  // ascending by event
};

}  // namespace reprise

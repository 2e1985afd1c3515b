// Collects the times of what ran: phases of the engine's step, launches, and, for a launch of a replay, when
// each worker worked on it. Gives a table of sums by kernel, and a Chrome trace (chrome://tracing, Perfetto)
// of every event.
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

// One thread: that of the stream. Every event is kept, so memory grows with the run; nothing is cleared.
// Names are not copied: they must outlive the profiler. Whoever times inside of workers keeps the times in
// memory of its own and adds them afterwards (capture/replay.h).
class Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  // The last phase of each step (docs/engine_contract.md).
  static constexpr std::string_view kLastPhase = "publish";

  struct Event {
    std::string_view name;   // kernel, or a phase of the step
    std::string_view layer;  // of the model; "model" outside of its layers; empty: a phase of the step
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

  // A phase is added when it ends, after the launches in it. Phases may not overlap:
  // host_us_per_decode_step() would count their time twice.
  void add(const Event& event) { events_.push_back(event); }
  // A launch whose workers were timed one by one; `shares` may not be empty: without
  // them the launch would be shown on the track of the whole team.
  void add(const Event& launch, std::span<const Share> shares);
  const std::vector<Event>& events() const { return events_; }

  // {"traceEvents": [...]}, times in microseconds since the earliest begin. Tracks: 0 the phases of the step,
  // 1 the launches that run one at a time on the whole team, 2 + w what worker w did in replays. The file is
  // replaced whole or not at all. Throws Error when it can't be written.
  void write_chrome_trace(const std::filesystem::path& path) const;

  // Microseconds of a step's phases in which no launch ran, averaged over decode steps (those whose launches
  // have one token for each sequence); 0 without one. What runs outside of phases (warm-ups, verification)
  // doesn't count.
  double host_us_per_decode_step() const;

  // Lines "kernel  calls  total ms  share", longest first; share: percent of the sum of all launches. The
  // time of a launch is that from its first work item to its last; launches of a replay may overlap, so that
  // the sum may exceed the step's time.
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

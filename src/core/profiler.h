// Times launches: totals by kernel for a profile, single launches for a Chrome trace (chrome://tracing,
// Perfetto).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/shape.h"

namespace reprise {

// One thread: that of the stream.
class Profiler {
 public:
  using Clock = std::chrono::steady_clock;

  // A step's phases end with this one (docs/engine_contract.md).
  static constexpr std::string_view kLastPhase = "publish";

  struct Event {
    std::string_view name;   // kernel, or a phase of the step
    std::string_view layer;  // empty: a phase of the engine's step
    Clock::time_point begin;
    Clock::time_point end;
    StepSizes sizes;
  };

  void add(const Event& event) { events_.push_back(event); }
  const std::vector<Event>& events() const { return events_; }

  // {"traceEvents": [...]}, times in microseconds since the first event; the file is replaced whole or not at
  // all. Throws Error when it can't be written.
  void write_chrome_trace(const std::filesystem::path& path) const;

  // Mean over the steps of one token a sequence: time of the step's phases less that of its launches.
  double host_us_per_decode_step() const;

  // Lines "kernel  calls  total ms  share", longest first.
  std::string summary() const;

 private:
  std::vector<Event> events_;
};

}  // namespace reprise

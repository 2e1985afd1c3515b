// Times one phase of a step (docs/engine_contract.md) for the trace.
#pragma once

#include <string_view>

#include "core/profiler.h"

namespace reprise::engine {

class PhaseScope {
 public:
  // `profiler` null: nothing is timed.
  PhaseScope(Profiler* profiler, std::string_view name)
      : profiler_(profiler),
        name_(name),
        begin_(profiler ? Profiler::Clock::now() : Profiler::Clock::time_point{}) {}
  ~PhaseScope() {
    if (profiler_ != nullptr)
      profiler_->add(
          {.name = name_, .layer = {}, .begin = begin_, .end = Profiler::Clock::now(), .sizes = {}});
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Profiler* profiler_;
  std::string_view name_;
  Profiler::Clock::time_point begin_;
};

}  // namespace reprise::engine

// Measures one phase of a step (the phases: docs/engine_contract.md) for the trace, from construction to
// destruction.
#pragma once

#include <new>
#include <string_view>

#include "core/profiler.h"

namespace reprise::engine {

class PhaseScope {
 public:
  // `profiler` null: nothing is measured. `name` must have static storage.
  PhaseScope(Profiler* profiler, std::string_view name)
      : profiler_(profiler),
        name_(name),
        begin_(profiler ? Profiler::Clock::now() : Profiler::Clock::time_point{}) {}
  ~PhaseScope() {
    if (profiler_ == nullptr) return;
    try {
      profiler_->add(
          {.name = name_, .layer = {}, .begin = begin_, .end = Profiler::Clock::now(), .sizes = {}});
    } catch (const std::bad_alloc&) {  // the trace lacks this event; a destructor may not throw
    }
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  Profiler* profiler_;
  std::string_view name_;
  Profiler::Clock::time_point begin_;
};

}  // namespace reprise::engine

// By which path a step runs, and why: one pure function, asked by the runner at every step and by
// `reprise explain`, so that what is explained is what happens. Allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "engine/config/graph_config.h"
#include "engine/step/step_path.h"

namespace reprise::engine {

// How far a recording is.
enum class CaptureState : uint8_t {
  pending,   // not made yet
  captured,  // whole
  in_parts,  // an op could not be captured: the recording is cut there
  failed,    // given up: capture failed, or verification found a difference
};

// By place in ResolvedGraph's lists.
struct CaptureStates {
  std::span<const CaptureState> decode = {};
  std::span<const CaptureState> prefill = {};
};

StepPath choose_path(const ResolvedGraph& graph, const CaptureStates& states, const StepShape& step);

void count(const StepPath& path, StepCounts& counts);

// One line for people: what the step is, how it runs and why.
std::string explain(const ResolvedGraph& graph, const StepShape& step, const StepPath& path);

}  // namespace reprise::engine

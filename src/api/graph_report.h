// Converts the engine's counts of steps and captures to the public API's types.
#pragma once

#include "engine/engine.h"
#include "reprise/reprise.h"

namespace reprise::api {

// Reasons (their codes, such as "cudagraph_off") and how many steps ran launch by launch for each; none with
// 0.
std::vector<std::pair<std::string, int64_t>> not_replayed(const engine::StepCounts& steps);

GraphReport graph_report(const engine::Engine& engine);

}  // namespace reprise::api

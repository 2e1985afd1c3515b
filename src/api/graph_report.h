// The engine's counts as the public API has them.
#pragma once

#include "engine/engine.h"
#include "reprise/reprise.h"

namespace reprise::api {

// Codes of the reasons that there were, and how many steps each.
std::vector<std::pair<std::string, int64_t>> not_replayed(const engine::StepCounts& steps);

GraphReport graph_report(const engine::Engine& engine);

}  // namespace reprise::api

// The engine's counts as the public GraphReport.
#pragma once

#include "engine/engine.h"
#include "reprise/reprise.h"

namespace reprise::api {

GraphReport graph_report(const engine::Engine& engine);

}  // namespace reprise::api

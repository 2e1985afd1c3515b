// How much memory given settings would take, found without taking it; and where that is too much, which
// setting to change to which value. Every value that is suggested was planned again and fits.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "engine/runner/memory_report.h"

namespace reprise::models {
class Model;
}

namespace reprise::engine {

struct MemoryPrediction {
  MemoryReport report;
  size_t budget = 0;  // memory_utilization of the memory
  bool fits = false;  // if not, the report is of the least that could serve: KV blocks for one sequence
};

// `memory`: bytes that the process may use in all, weights among them. Throws Error on settings that are
// wrong for other reasons than memory. `model` may be a skeleton (models/load_model.h).
MemoryPrediction predict_memory(const models::Model& model, const EngineServices& services,
                                const EngineConfig& config, size_t memory);

// One line a setting that, changed alone, makes it fit; all of them changed together where none does alone.
std::vector<std::string> memory_advice(const models::Model& model, const EngineServices& services,
                                       const EngineConfig& config, size_t memory);

}  // namespace reprise::engine

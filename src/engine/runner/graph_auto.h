// --graph-opt auto: at start, times the settings that the user left open (level, with and without replay)
// with this model on this machine, and keeps the fastest.
#pragma once

#include <string>
#include <vector>

#include "engine/config/engine_config.h"
#include "engine/engine_services.h"

namespace reprise::models {
class Model;
}

namespace reprise::engine {

struct AutoChoice {
  GraphConfig config;              // the fastest, nothing left to choose
  std::vector<std::string> table;  // lines for people; empty where there was nothing to choose
};

// Decode steps at batch 1 and at max_num_seqs; the least product of both medians wins. Takes a few seconds on
// models of a size that matters, and the memory of one arena a candidate meanwhile. A candidate whose capture
// fails is timed without replay. Throws what a step of the model throws, and std::bad_alloc.
AutoChoice choose_graph_config(const models::Model& model, const EngineServices& services,
                               const EngineConfig& config);

}  // namespace reprise::engine

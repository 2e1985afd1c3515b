// Ranks that run the steps which rank 0 plans. Rank 0 is an Engine whose services have a communicator: it sends
// what it decided at its start, then each step's plan before it runs it, then the end. Nothing else is decided
// by a follower: not the ISA level, not the number of KV blocks, not the path of a step, not when a capture
// is made.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/config/engine_config.h"
#include "engine/engine_services.h"

namespace reprise::models {
class Model;
}

namespace reprise::engine {

class Runner;
struct StepPlan;

// What rank 0 found by measuring, or from its memory.
struct StartDecisions {
  std::string level;  // Device::level()
  int64_t num_kv_blocks = 0;
  int graph_opt_level = 0;
  bool use_cudagraph = false;

  bool operator==(const StartDecisions&) const = default;
};
std::vector<std::byte> to_bytes(const StartDecisions& decisions);
// Throws Error where `bytes` are none.
StartDecisions start_decisions_of(const std::vector<std::byte>& bytes);

// Runs the steps of rank 0 until it ends. `services` has the communicator; `model` and `config` are those of
// rank 0. `after_step` is called with the results of each. Throws Error where rank 0 runs at another level or is
// gone, or where its decisions don't fit here: less memory, a capture that this process had to give up; and
// whatever a step throws: a rank that missed a step can't run the next.
void follow(const models::Model& model, const EngineServices& services, const EngineConfig& config,
            const std::function<void(const StepPlan&, Runner&)>& after_step = {});

}  // namespace reprise::engine

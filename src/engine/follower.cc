#include "engine/follower.h"

#include <cstring>

#include "core/error.h"
#include "engine/runner/runner.h"
#include "engine/step/plan_bytes.h"
#include "models/model.h"

namespace reprise::engine {
namespace {

struct DecisionBytes {
  char level[16];
  int64_t num_kv_blocks;
  int64_t graph_opt_level;
  int64_t use_cudagraph;
};

}  // namespace

std::vector<std::byte> to_bytes(const StartDecisions& decisions) {
  DecisionBytes raw{.level = {},
                    .num_kv_blocks = decisions.num_kv_blocks,
                    .graph_opt_level = decisions.graph_opt_level,
                    .use_cudagraph = decisions.use_cudagraph};
  REPRISE_CHECK(decisions.level.size() < sizeof(raw.level), "a level is called {}", decisions.level);
  std::memcpy(raw.level, decisions.level.data(), decisions.level.size());
  std::vector<std::byte> bytes(sizeof(raw));
  std::memcpy(bytes.data(), &raw, sizeof(raw));
  return bytes;
}

StartDecisions start_decisions_of(const std::vector<std::byte>& bytes) {
  DecisionBytes raw{};
  if (bytes.size() != sizeof(raw))
    throw Error(
        "[follow] rank 0 sent {} bytes as its decisions, expected {}; start the same program on every rank",
        bytes.size(), sizeof(raw));
  std::memcpy(&raw, bytes.data(), sizeof(raw));
  if (raw.num_kv_blocks < 1 || raw.graph_opt_level < 0 || raw.graph_opt_level > 2 ||
      std::memchr(raw.level, 0, sizeof(raw.level)) == nullptr)
    throw Error(
        "[follow] what rank 0 sent as its decisions makes no sense; start the same program on every rank");
  return {.level = raw.level,
          .num_kv_blocks = raw.num_kv_blocks,
          .graph_opt_level = static_cast<int>(raw.graph_opt_level),
          .use_cudagraph = raw.use_cudagraph != 0};
}

void follow(const models::Model& model, const EngineServices& services, const EngineConfig& asked,
            const std::function<void(const StepPlan&, Runner&)>& after_step) {
  REPRISE_CHECK(services.communicator != nullptr, "a rank that follows needs a communicator");
  Communicator& communicator = *services.communicator;
  std::vector<std::byte> message;
  communicator.broadcast(message);
  const StartDecisions decided = start_decisions_of(message);
  if (decided.level != services.device.level())
    throw Error("[follow] rank 0 runs at level {}, this rank at {}; set --isa {} on every rank",
                decided.level, services.device.level(), decided.level);
  EngineConfig config = asked.resolved();
  config.num_gpu_blocks_override = decided.num_kv_blocks;
  config.graph.graph_opt_level = decided.graph_opt_level;
  config.graph.use_cudagraph = decided.use_cudagraph;
  config.graph.choose_level = config.graph.choose_capture = false;
  Runner runner(model, services, config, services.device.available_bytes() + model.weight_bytes());
  const PlanLimits limits{.step = step_limits(config),
                          .block_size = config.block_size,
                          .max_model_len = config.max_model_len,
                          .num_kv_blocks = decided.num_kv_blocks,
                          .vocab_size = model.config().vocab_size};
  StepPlan plan;
  while (true) {
    communicator.broadcast(message);
    if (message.empty()) return;
    read_bytes(message, limits, plan);
    if (!plan.empty()) {
      runner.run(plan);
      if (after_step) after_step(plan, runner);
    }
    if (plan.captures) runner.graph().capture_next();
  }
}

}  // namespace reprise::engine

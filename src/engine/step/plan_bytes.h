// Plans of steps as bytes, for processes that run the same steps. Both ends are the same build on the same kind
// of machine: numbers are as they lie in memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/step/step_limits.h"
#include "engine/step/step_plan.h"

namespace reprise::engine {

// Overwrites `bytes`, whose storage is reused.
void write_bytes(const StepPlan& plan, std::vector<std::byte>& bytes);

// What a plan may name.
struct PlanLimits {
  StepLimits step;
  int64_t block_size;
  int64_t max_model_len;
  int64_t num_kv_blocks;  // ids from 1 on
  int64_t vocab_size;
};

// Overwrites `plan`. Throws Error where `bytes` are no plan, are cut, or name what is beyond `limits`: what it
// gives can be run, if the path's recording exists.
void read_bytes(std::span<const std::byte> bytes, const PlanLimits& limits, StepPlan& plan);

}  // namespace reprise::engine

// How large the steps of an engine can be.
#pragma once

#include <cstdint>

#include "core/shape.h"
#include "engine/config/engine_config.h"

namespace reprise::engine {

// The largest step, which every buffer is sized for.
struct StepLimits {
  int64_t tokens;
  int64_t seqs;
  int64_t rows;  // whose logits are read; of a chunk of prompt log-probabilities, too
};

// Sizes that a step's tensors are laid out for: one class for steps of few tokens, one for all others, so
// that the steps of a class have their intermediates at the same addresses and small ones stay close
// together.
inline bool is_small(int64_t tokens, const StepLimits& limits) {
  return tokens <= limits.rows;
}
StepSizes class_of(const StepSizes& sizes, const StepLimits& limits);

StepLimits step_limits(const EngineConfig& config);                  // of a resolved config
int64_t logprob_columns(const EngineConfig& config, int64_t vocab);  // the most that a row may list

}  // namespace reprise::engine

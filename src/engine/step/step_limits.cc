#include "engine/step/step_limits.h"

#include <algorithm>

namespace reprise::engine {
namespace {

// Rows of a chunk of prompt log-probabilities, at least: each chunk reads the head's weights once.
constexpr int64_t kLeastRows = 16;

}  // namespace

StepSizes class_of(const StepSizes& sizes, const StepLimits& limits) {
  return {.tokens = is_small(sizes.tokens, limits) ? limits.rows : limits.tokens,
          .seqs = limits.seqs,
          .rows = limits.rows};
}

StepLimits step_limits(const EngineConfig& config) {
  const int64_t rows = std::max(config.max_num_seqs, kLeastRows);
  return {.tokens = std::max(*config.max_num_batched_tokens, rows), .seqs = rows, .rows = rows};
}

int64_t logprob_columns(const EngineConfig& config, int64_t vocab) {
  return config.max_logprobs < 0 ? vocab : std::min<int64_t>(config.max_logprobs, vocab);
}

}  // namespace reprise::engine

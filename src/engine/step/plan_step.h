// Writes the plan of a step from what the scheduler decided.
#pragma once

#include <cstdint>
#include <span>

#include "engine/scheduling/sequence.h"
#include "engine/step/step_plan.h"

namespace reprise::engine {

struct BatchItem {
  engine::Sequence* sequence;
  int64_t tokens;  // computed by this step, from sequence->computed on
};

// The prompt tokens of `item` whose log-probabilities its step computes: positions [begin, end) predict them.
struct ScoredPositions {
  int64_t begin, end;
};
ScoredPositions scored_positions(const BatchItem& item);

// Overwrites `plan`, whose storage is reused; the path is left to be chosen. Row i is items[i]'s. Where a token mask
// throws, the sequence's mask_failure is set and its row may choose no token.
void plan_step(std::span<const BatchItem> items, std::span<const int32_t> eos_token_ids, int64_t vocab,
               StepPlan& plan);

}  // namespace reprise::engine

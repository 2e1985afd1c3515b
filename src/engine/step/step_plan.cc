#include "engine/step/step_plan.h"

namespace reprise::engine {

void StepPlan::clear() {
  shape = {};
  path = {};
  sequences.clear();
  token_ids.clear();
  blocks.clear();
  logit_rows.clear();
  samples.clear();
  biases.clear();
  counts.clear();
  masks.clear();
  scores.clear();
  captures = false;
}

void StepPlan::reserve(const StepLimits& limits, int64_t max_blocks_per_seq) {
  sequences.reserve(static_cast<size_t>(limits.seqs));
  token_ids.reserve(static_cast<size_t>(limits.tokens));
  blocks.reserve(static_cast<size_t>(limits.seqs * max_blocks_per_seq));
  logit_rows.reserve(static_cast<size_t>(limits.rows));
  samples.reserve(static_cast<size_t>(limits.rows));
}

void StepPlan::add_sequence(std::span<const int32_t> tokens, int64_t begin, int64_t prompt_length,
                            std::span<const BlockId> of_sequence) {
  sequences.push_back({.begin = static_cast<int32_t>(begin),
                       .tokens = static_cast<int32_t>(tokens.size()),
                       .prompt_length = static_cast<int32_t>(prompt_length),
                       .blocks = static_cast<int32_t>(of_sequence.size())});
  token_ids.insert(token_ids.end(), tokens.begin(), tokens.end());
  blocks.insert(blocks.end(), of_sequence.begin(), of_sequence.end());
}

void StepPlan::add_row(const SampleRow& row, int64_t back) {
  logit_rows.push_back(static_cast<int32_t>(static_cast<int64_t>(token_ids.size()) - 1 - back));
  samples.push_back(row);
  samples.back().count_begin = static_cast<int32_t>(counts.size()) - row.count_count;
}

}  // namespace reprise::engine

#include "engine/step/step_contents.h"

#include <algorithm>

namespace reprise::engine {

void fill_step(const StepInputs& inputs, SampleBuffers& samples, const StepLimits& limits, int64_t vocab_size,
               int content) {
  const StepInputs::HostRows& rows = inputs.host();
  // Short sequences and long ones, so that what follows the lengths crosses the partitions of attention.
  const int64_t longest = inputs.forward().kv->max_model_len;
  const int64_t length = content % 2 == 0 ? std::min<int64_t>(3, longest) : longest;
  for (int64_t t = 0; t < limits.tokens; ++t) {
    rows.token_ids[t] = static_cast<int32_t>((t + content) % vocab_size);
    rows.positions[t] = static_cast<int32_t>(length - 1);
    rows.rope_lengths[t] = static_cast<int32_t>(length);
    rows.slots[t] = static_cast<int32_t>(t + content);
    rows.seq_of_token[t] = static_cast<int32_t>((t + content) % limits.seqs);
  }
  const int64_t columns = inputs.forward().kv->max_blocks_per_seq;
  for (int64_t seq = 0; seq < limits.seqs; ++seq)
    for (int64_t column = 0; column < columns; ++column)
      rows.block_tables[seq * columns + column] = static_cast<int32_t>(seq + column + content);
  for (int64_t row = 0; row < limits.rows; ++row) {
    rows.logit_rows[row] = static_cast<int32_t>((row + content) % limits.rows);
    if (content % 2 == 0)
      samples.plan_skip(row);
    else
      samples.plan_score(row, static_cast<int32_t>(row % vocab_size), 1);
  }
}

}  // namespace reprise::engine

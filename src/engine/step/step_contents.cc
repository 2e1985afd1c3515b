#include "engine/step/step_contents.h"

#include <algorithm>

namespace reprise::engine {

void fill_step(const models::ForwardInput& input, SampleBuffers& samples, const StepLimits& limits,
               int64_t vocab_size, int content) {
  // Short sequences and long ones, so that what follows the lengths crosses the partitions of attention.
  const int64_t longest = input.kv->max_model_len;
  const int64_t length = content % 2 == 0 ? std::min<int64_t>(3, longest) : longest;
  for (int64_t t = 0; t < limits.tokens; ++t) {
    input.token_ids.as<int32_t>()[t] = static_cast<int32_t>((t + content) % vocab_size);
    input.positions.as<int32_t>()[t] = static_cast<int32_t>(length - 1);
    input.rope_lengths.as<int32_t>()[t] = static_cast<int32_t>(length);
    input.slots.as<int32_t>()[t] = static_cast<int32_t>(t + content);
    input.seq_of_token.as<int32_t>()[t] = static_cast<int32_t>((t + content) % limits.rows);
  }
  const int64_t columns = input.kv->max_blocks_per_seq;
  for (int64_t row = 0; row < limits.rows; ++row) {
    for (int64_t column = 0; column < columns; ++column)
      input.block_tables.as<int32_t>()[row * columns + column] = static_cast<int32_t>(row + column + content);
    input.logit_rows.as<int32_t>()[row] = static_cast<int32_t>((row + content) % limits.rows);
    if (content % 2 == 0)
      samples.plan_skip(row);
    else
      samples.plan_score(row, static_cast<int32_t>(row % vocab_size), 1);
  }
}

}  // namespace reprise::engine

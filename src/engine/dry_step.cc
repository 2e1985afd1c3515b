#include "engine/dry_step.h"

#include <cstring>

#include "engine/runner.h"

namespace reprise::engine {

DryStep::DryStep(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& config)
    : model_(model),
      max_model_len_(config.max_model_len),
      limits_(step_limits(config)),
      stream_(team, isa),
      cache_(model.config(), model.dtype(), config),
      samples_(limits_.rows, config.max_model_len, logprob_columns(config, model.config().vocab_size)),
      inputs_(limits_.tokens, limits_.rows, cache_.view()),
      folder_(stream_) {}

StepGraphs DryStep::trace(int level, const graph::PassOptions& passes) {
  return build_step_graphs(
      model_, inputs_.forward(), samples_.tensors(),
      {.level = level, .max_model_len = max_model_len_, .folder = &folder_, .passes = passes});
}

graph::MemoryPlan DryStep::lay_out(const graph::Graph& graph, const StepSizes& largest) {
  return graph::plan_memory(graph, largest, graph::measure_workspaces(graph, largest, stream_));
}

void DryStep::fill(int content) {
  // Short sequences and long ones, so that what follows the lengths crosses the partitions of attention.
  const int64_t length = content % 2 == 0 ? std::min<int64_t>(3, max_model_len_) : max_model_len_;
  const models::ForwardInput& input = inputs_.forward();
  for (int64_t t = 0; t < limits_.tokens; ++t) {
    input.token_ids.as<int32_t>()[t] = static_cast<int32_t>((t + content) % model_.config().vocab_size);
    input.positions.as<int32_t>()[t] = static_cast<int32_t>(length - 1);
    input.rope_lengths.as<int32_t>()[t] = static_cast<int32_t>(length);
    input.slots.as<int32_t>()[t] = static_cast<int32_t>(t + content);
    input.seq_of_token.as<int32_t>()[t] = static_cast<int32_t>((t + content) % limits_.rows);
  }
  const int64_t columns = cache_.view().max_blocks_per_seq;
  for (int64_t row = 0; row < limits_.rows; ++row) {
    for (int64_t column = 0; column < columns; ++column)
      input.block_tables.as<int32_t>()[row * columns + column] = static_cast<int32_t>(row + column + content);
    input.logit_rows.as<int32_t>()[row] = static_cast<int32_t>((row + content) % limits_.rows);
    if (content % 2 == 0)
      samples_.plan_skip(row);
    else
      samples_.plan_score(row, static_cast<int32_t>(row % model_.config().vocab_size), 1);
  }
}

}  // namespace reprise::engine

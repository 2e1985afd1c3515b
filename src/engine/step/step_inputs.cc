#include "engine/step/step_inputs.h"

#include <algorithm>

#include "core/error.h"
#include "core/fault.h"

namespace reprise::engine {

StepInputs::StepInputs(MemorySpace& memory, const StepLimits& limits, const models::PagedKvView& kv)
    : memory_(memory), store_(BufferKind::input, memory), limits_(limits) {
  const int64_t max_tokens = limits.tokens;
  forward_ = {.token_ids = allocate({max_tokens}, {kTokens}),
              .positions = allocate({max_tokens}, {kTokens}),
              .rope_lengths = allocate({max_tokens}, {kTokens}),
              .slots = allocate({max_tokens}, {kTokens}),
              .seq_of_token = allocate({max_tokens}, {kTokens}),
              .block_tables = allocate({limits.seqs, kv.max_blocks_per_seq}, {kSeqs, kv.max_blocks_per_seq}),
              .logit_rows = allocate({limits.rows}, {kRows}),
              .kv = &kv};
  size_t next = 0;
  const auto mirror = [&](const Tensor& tensor, int64_t rows) {
    Mirror& made = mirrors_[next++];
    const auto row = tensor.shape.row_elements() * static_cast<int64_t>(sizeof(int32_t));
    made.mirror = HostMirror(memory_, tensor, static_cast<size_t>(rows * row));
    made.bytes = tensor.extent();
    return made.mirror.as<int32_t>();
  };
  host_ = {.token_ids = mirror(forward_.token_ids, max_tokens),
           .positions = mirror(forward_.positions, max_tokens),
           .rope_lengths = mirror(forward_.rope_lengths, max_tokens),
           .slots = mirror(forward_.slots, max_tokens),
           .seq_of_token = mirror(forward_.seq_of_token, max_tokens),
           .block_tables = mirror(forward_.block_tables, limits.seqs),
           .logit_rows = mirror(forward_.logit_rows, limits.rows)};
}

void StepInputs::upload(const StepSizes& sizes) const {
  for (const Mirror& made : mirrors_) made.mirror.upload(0, static_cast<size_t>(made.bytes.eval(sizes)));
}

// A buffer for the largest step, seen as a tensor of the current one.
Tensor StepInputs::allocate(const Shape& capacity, const Shape& shape) {
  Tensor tensor = store_.allocate(DType::i32, capacity);
  tensor.shape = shape;
  return tensor;
}

void StepInputs::fill(const StepPlan& step) {
  sizes_ = step.sizes();
  REPRISE_CHECK(sizes_.tokens <= limits_.tokens && sizes_.seqs <= limits_.seqs && sizes_.rows <= limits_.rows,
                "a step of {} tokens in {} sequences with {} rows", sizes_.tokens, sizes_.seqs, sizes_.rows);
  std::copy(step.token_ids.begin(), step.token_ids.end(), host_.token_ids);
  std::copy(step.logit_rows.begin(), step.logit_rows.end(), host_.logit_rows);
  const int64_t block_size = forward_.kv->block_size;
  const int64_t columns = forward_.kv->max_blocks_per_seq;
  const BlockId* blocks = step.blocks.data();
  int64_t t = 0;
  for (int64_t seq = 0; seq < sizes_.seqs; ++seq) {
    const StepPlan::Sequence& sequence = step.sequences[static_cast<size_t>(seq)];
    const int64_t end = int64_t{sequence.begin} + sequence.tokens;
    REPRISE_CHECK(sequence.blocks * block_size >= end && sequence.blocks <= columns,
                  "{} blocks for {} positions", sequence.blocks, end);
    for (int64_t position = sequence.begin; position < end; ++position, ++t) {
      host_.positions[t] = static_cast<int32_t>(position);
      host_.rope_lengths[t] = static_cast<int32_t>(std::max<int64_t>(sequence.prompt_length, position + 1));
      host_.slots[t] =
          static_cast<int32_t>(blocks[position / block_size] * block_size + position % block_size);
      host_.seq_of_token[t] = static_cast<int32_t>(seq);
    }
    std::copy_n(blocks, sequence.blocks, host_.block_tables + seq * columns);
    blocks += sequence.blocks;
  }
}

void StepInputs::pad(const StepSizes& padded) {
  REPRISE_CHECK(padded.tokens <= limits_.tokens && padded.seqs <= limits_.seqs && padded.rows <= limits_.rows,
                "padding to {} tokens in {} sequences with {} rows", padded.tokens, padded.seqs, padded.rows);
  for (int64_t t = sizes_.tokens; t < padded.tokens; ++t) {
    host_.token_ids[t] = 0;
    host_.positions[t] = 0;
    host_.rope_lengths[t] = 1;
    host_.slots[t] = fault_is_on(Fault::padding_writes_real_slot) ? host_.slots[0] : 0;
    host_.seq_of_token[t] = -1;
  }
  const int64_t columns = forward_.kv->max_blocks_per_seq;
  for (int64_t seq = sizes_.seqs; seq < padded.seqs; ++seq)
    std::fill_n(host_.block_tables + seq * columns, columns, 0);
  for (int64_t row = sizes_.rows; row < padded.rows; ++row)
    host_.logit_rows[row] = static_cast<int32_t>(std::min(row, padded.tokens - 1));
}

}  // namespace reprise::engine

#include "engine/step/step_inputs.h"

#include <algorithm>

#include "core/error.h"
#include "core/fault.h"

namespace reprise::engine {

StepInputs::StepInputs(MemorySpace& memory, int64_t max_tokens, int64_t max_rows,
                       const models::PagedKvView& kv)
    : store_(BufferKind::input, memory), max_tokens_(max_tokens), max_rows_(max_rows) {
  forward_ = {.token_ids = allocate({max_tokens}, {kTokens}),
              .positions = allocate({max_tokens}, {kTokens}),
              .rope_lengths = allocate({max_tokens}, {kTokens}),
              .slots = allocate({max_tokens}, {kTokens}),
              .seq_of_token = allocate({max_tokens}, {kTokens}),
              .block_tables = allocate({max_rows, kv.max_blocks_per_seq}, {kSeqs, kv.max_blocks_per_seq}),
              .logit_rows = allocate({max_rows}, {kSeqs}),
              .kv = &kv};
}

// A buffer for the largest step, seen as a tensor of the current one.
Tensor StepInputs::allocate(const Shape& capacity, const Shape& shape) {
  Tensor tensor = store_.allocate(DType::i32, capacity);
  tensor.shape = shape;
  return tensor;
}

void StepInputs::add(std::span<const int32_t> tokens, int64_t begin, int64_t end, int64_t prompt_length,
                     std::span<const BlockId> blocks) {
  const int64_t block_size = forward_.kv->block_size;
  const int64_t columns = forward_.kv->max_blocks_per_seq;
  REPRISE_CHECK(sizes_.tokens + (end - begin) <= max_tokens_ && sizes_.seqs < max_rows_,
                "a step of {} tokens in {} sequences", sizes_.tokens + (end - begin), sizes_.seqs + 1);
  REPRISE_CHECK(static_cast<int64_t>(blocks.size()) * block_size >= end &&
                    static_cast<int64_t>(blocks.size()) <= columns,
                "{} blocks for {} positions", blocks.size(), end);
  const auto row = static_cast<int32_t>(sizes_.seqs);
  int64_t t = sizes_.tokens;
  for (int64_t position = begin; position < end; ++position, ++t) {
    forward_.token_ids.as<int32_t>()[t] = tokens[static_cast<size_t>(position)];
    forward_.positions.as<int32_t>()[t] = static_cast<int32_t>(position);
    forward_.rope_lengths.as<int32_t>()[t] = static_cast<int32_t>(std::max(prompt_length, position + 1));
    forward_.slots.as<int32_t>()[t] = static_cast<int32_t>(
        blocks[static_cast<size_t>(position / block_size)] * block_size + position % block_size);
    forward_.seq_of_token.as<int32_t>()[t] = row;
  }
  std::copy(blocks.begin(), blocks.end(), forward_.block_tables.as<int32_t>() + row * columns);
  forward_.logit_rows.as<int32_t>()[row] = static_cast<int32_t>(t - 1);
  sizes_ = {t, sizes_.seqs + 1};
}

void StepInputs::pad(const StepSizes& padded) {
  REPRISE_CHECK(padded.tokens <= max_tokens_ && padded.seqs <= max_rows_,
                "padding to {} tokens in {} sequences", padded.tokens, padded.seqs);
  for (int64_t t = sizes_.tokens; t < padded.tokens; ++t) {
    forward_.token_ids.as<int32_t>()[t] = 0;
    forward_.positions.as<int32_t>()[t] = 0;
    forward_.rope_lengths.as<int32_t>()[t] = 1;
    forward_.slots.as<int32_t>()[t] =
        fault_is_on(Fault::padding_writes_real_slot) ? forward_.slots.as<int32_t>()[0] : 0;
    forward_.seq_of_token.as<int32_t>()[t] = -1;
  }
  const int64_t columns = forward_.kv->max_blocks_per_seq;
  for (int64_t row = sizes_.seqs; row < padded.seqs; ++row) {
    std::fill_n(forward_.block_tables.as<int32_t>() + row * columns, columns, 0);
    forward_.logit_rows.as<int32_t>()[row] = static_cast<int32_t>(std::min(row, padded.tokens - 1));
  }
}

}  // namespace reprise::engine

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

void StepInputs::add(std::span<const int32_t> tokens, int64_t begin, int64_t end, int64_t prompt_length,
                     std::span<const BlockId> blocks) {
  const int64_t block_size = forward_.kv->block_size;
  const int64_t columns = forward_.kv->max_blocks_per_seq;
  REPRISE_CHECK(sizes_.tokens + (end - begin) <= limits_.tokens && sizes_.seqs < limits_.seqs &&
                    sizes_.rows < limits_.rows,
                "a step of {} tokens in {} sequences", sizes_.tokens + (end - begin), sizes_.seqs + 1);
  REPRISE_CHECK(static_cast<int64_t>(blocks.size()) * block_size >= end &&
                    static_cast<int64_t>(blocks.size()) <= columns,
                "{} blocks for {} positions", blocks.size(), end);
  const auto sequence = static_cast<int32_t>(sizes_.seqs);
  int64_t t = sizes_.tokens;
  for (int64_t position = begin; position < end; ++position, ++t) {
    host_.token_ids[t] = tokens[static_cast<size_t>(position)];
    host_.positions[t] = static_cast<int32_t>(position);
    host_.rope_lengths[t] = static_cast<int32_t>(std::max(prompt_length, position + 1));
    host_.slots[t] = static_cast<int32_t>(blocks[static_cast<size_t>(position / block_size)] * block_size +
                                          position % block_size);
    host_.seq_of_token[t] = sequence;
  }
  std::copy(blocks.begin(), blocks.end(), host_.block_tables + sequence * columns);
  host_.logit_rows[sizes_.rows] = static_cast<int32_t>(t - 1);
  sizes_ = {t, sizes_.seqs + 1, sizes_.rows + 1};
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

// A step as a value: its sizes, the path by which it runs, and all that its input buffers will hold. It points to
// nothing, so it can be kept, compared, and run in another process (plan_bytes.h). plan_step.h writes one from
// what the scheduler decided; Runner runs it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/sample_row.h"
#include "core/shape.h"
#include "engine/kv/kv_blocks.h"
#include "engine/step/step_limits.h"
#include "engine/step/step_path.h"

namespace reprise::engine {

struct StepPlan {
  // Tokens [begin, begin + tokens) of a sequence are computed; `blocks` of its KV blocks cover them and all
  // before.
  struct Sequence {
    int32_t begin, tokens, prompt_length, blocks;
    bool operator==(const Sequence&) const = default;
  };
  // A prompt token whose log-probability is asked for, by the row of hidden states that predicts it.
  struct Score {
    int32_t hidden_row, token, top;
    bool operator==(const Score&) const = default;
  };
  static constexpr int32_t kAllTop =
      INT32_MAX;  // as SampleRow::top or Score::top: as many as there is room for

  StepShape shape;
  StepPath path;
  std::vector<Sequence> sequences;  // [S]
  std::vector<int32_t> token_ids;   // [T], sequence by sequence
  std::vector<BlockId> blocks;      // sequence by sequence
  std::vector<int32_t> logit_rows;  // [R], tokens of the step whose logits are read
  std::vector<SampleRow> samples;   // [R], what to do with them
  std::vector<TokenBias> biases;    // row by row, SampleRow::bias_count of each
  std::vector<TokenCount> counts;   // row by row, from SampleRow::count_begin on
  std::vector<uint32_t> masks;      // mask_words() of each row that is SampleRow::masked
  std::vector<Score> scores;        // computed before the samples
  bool captures = false;            // when the step is done, one piece of the captures follows

  StepSizes sizes() const {
    return {.tokens = static_cast<int64_t>(token_ids.size()),
            .seqs = static_cast<int64_t>(sequences.size()),
            .rows = static_cast<int64_t>(logit_rows.size())};
  }
  bool empty() const { return sequences.empty(); }
  void clear();
  // So that filling a plan within `limits` allocates nothing, but for biases, counts, masks and scores.
  void reserve(const StepLimits& limits, int64_t max_blocks_per_seq);

  // Appends a sequence; `tokens` are those that the step computes, from position `begin` on.
  void add_sequence(std::span<const int32_t> tokens, int64_t begin, int64_t prompt_length,
                    std::span<const BlockId> of_sequence);
  // Appends a row: the last token added so far is read, or the one `back` before it. Biases, counts and the mask of `row`
  // are those that were appended since the last row.
  void add_row(const SampleRow& row, int64_t back = 0);

  bool operator==(const StepPlan&) const = default;
};

}  // namespace reprise::engine

// Steps of made-up sequences, with which --graph-verify tries a capture: one sequence, two, many; of uneven
// lengths; whole prompts, chunks of a prompt whose beginning was computed before, and tokens that decode
// beside prompts.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kv/kv_blocks.h"

namespace reprise::engine {

// A sequence in the step under test.
struct SequenceShape {
  int64_t history;      // tokens computed by earlier steps
  int64_t step_tokens;  // tokens that the step computes, at least 1
  bool operator==(const SequenceShape&) const = default;
};

struct MadeUpLimits {
  int64_t sequences;   // of a step
  int64_t tokens;      // of a step, so of a history as well
  int64_t length;      // of a sequence
  int64_t block_size;  // positions
  int64_t blocks;      // there are, ids from 1 on
};

// Decode steps of `tokens` sequences, the first of them long where the limits allow it; of one sequence both, a short and
// a long one, unless they are the same.
std::vector<std::vector<SequenceShape>> decode_shapes(int64_t tokens, const MadeUpLimits& limits);
// Prefill steps of `tokens` tokens in all (fewer where the limits don't allow as many), no two alike.
// `mixed`: one with sequences that decode is among them; without, every sequence computes at least two tokens
// (but where `tokens` is 1).
std::vector<std::vector<SequenceShape>> prefill_shapes(int64_t tokens, bool mixed,
                                                       const MadeUpLimits& limits);

// Tokens and blocks of a sequence; its last `step_tokens` are those of the step under test.
struct MadeUp {
  std::vector<int32_t> tokens;
  std::vector<BlockId> blocks;
  int64_t step_tokens;
};
// As many of the sequences as there are blocks for, each in blocks of its own.
std::vector<MadeUp> make_up(const std::vector<SequenceShape>& shapes, int64_t vocab_size,
                            const MadeUpLimits& limits);

}  // namespace reprise::engine

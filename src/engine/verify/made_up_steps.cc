#include "engine/verify/made_up_steps.h"

#include <algorithm>

namespace reprise::engine {
namespace {

// Cut to what the limits allow; the step's tokens come first.
std::vector<SequenceShape> within(std::vector<SequenceShape> shapes, const MadeUpLimits& limits) {
  for (SequenceShape& shape : shapes) {
    shape.step_tokens = std::min(shape.step_tokens, limits.length);
    shape.history = std::min({shape.history, limits.length - shape.step_tokens, limits.tokens});
  }
  return shapes;
}

// Attention takes keys in tiles of 64: what one tile hands on to the next is seen from the third on.
constexpr int64_t kLongHistory = 2 * 64 + 9;

// Sequences that decode, each in one block.
std::vector<SequenceShape> short_rows(int64_t count, const MadeUpLimits& limits) {
  std::vector<SequenceShape> rows;
  for (int64_t i = 0; i < count; ++i)
    rows.push_back({.history = 1 + i % std::min<int64_t>(13, limits.block_size - 1), .step_tokens = 1});
  return within(std::move(rows), limits);
}

}  // namespace

std::vector<std::vector<SequenceShape>> decode_shapes(int64_t tokens, const MadeUpLimits& limits) {
  std::vector<SequenceShape> rows = short_rows(tokens, limits), longer = rows;
  const int64_t spare = std::max<int64_t>(0, limits.blocks - tokens);  // blocks that nobody else needs
  longer[0].history = std::min(kLongHistory, (1 + spare) * limits.block_size - 1);
  longer = within(std::move(longer), limits);
  if (tokens > 1 || longer == rows) return {std::move(longer)};
  return {std::move(rows), std::move(longer)};
}

std::vector<std::vector<SequenceShape>> prefill_shapes(int64_t tokens, bool mixed,
                                                       const MadeUpLimits& limits) {
  const int64_t some = limits.block_size + 3;  // a history that ends inside of the second block
  std::vector<std::vector<SequenceShape>> steps = {{{0, tokens}}, {{some, tokens}}};
  if (const int64_t first = tokens / 3; first >= 2 && limits.sequences >= 2) {
    steps.push_back({{0, first}, {0, tokens - first}});
    steps.push_back({{some, first}, {5, tokens - first}});
  }
  // Many: two tokens each, and half of what is left to the first, half of the rest to the second, and so on.
  if (const int64_t count = std::min(limits.sequences, tokens / 2); count >= 3) {
    std::vector<SequenceShape>& many = steps.emplace_back();
    int64_t left = tokens - 2 * count;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t more = i + 1 == count ? left : (left + 1) / 2;
      many.push_back({.history = i % 3 == 0 ? 0 : i * 5 % (2 * limits.block_size), .step_tokens = 2 + more});
      left -= more;
    }
  }
  if (const int64_t ones = std::min(limits.sequences - 1, tokens / 2);
      mixed && ones >= 1 && tokens - ones >= 2) {
    std::vector<SequenceShape>& beside = steps.emplace_back(short_rows(ones, limits));
    beside.insert(beside.begin() + ones / 2, {.history = some, .step_tokens = tokens - ones});
  }
  std::vector<std::vector<SequenceShape>> different;
  for (std::vector<SequenceShape>& step : steps) {
    step = within(std::move(step), limits);
    if (std::find(different.begin(), different.end(), step) == different.end())
      different.push_back(std::move(step));
  }
  return different;
}

std::vector<MadeUp> make_up(const std::vector<SequenceShape>& shapes, int64_t vocab_size,
                            const MadeUpLimits& limits) {
  std::vector<MadeUp> sequences;
  BlockId next_block = 1;  // 0 is the null block
  for (const SequenceShape& shape : shapes) {
    const int64_t length = shape.history + shape.step_tokens;
    const int64_t blocks = (length + limits.block_size - 1) / limits.block_size;
    if (next_block + blocks - 1 > limits.blocks) break;
    MadeUp sequence{.tokens = {}, .blocks = {}, .step_tokens = shape.step_tokens};
    const auto i = static_cast<int64_t>(sequences.size());
    for (int64_t t = 0; t < length; ++t)
      sequence.tokens.push_back(static_cast<int32_t>((i * 7919 + t * 104729 + 17) % vocab_size));
    for (int64_t b = 0; b < blocks; ++b) sequence.blocks.push_back(next_block++);
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

}  // namespace reprise::engine

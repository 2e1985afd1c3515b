// Which sizes are recorded: the default lists, and what is kept of a user's list. A size is a number of
// tokens of a step; a step runs on the smallest recorded size that holds it.
#pragma once

#include <cstdint>
#include <vector>

namespace reprise::engine {

// The sizes of one kind of step.
struct SizeList {
  // One recording serves every size up to the largest, with no padding; that one is the only one listed.
  bool any_size = false;
  std::vector<int64_t> sizes = {};  // ascending; empty: this kind of step is not recorded

  int64_t largest() const { return sizes.empty() ? 0 : sizes.back(); }
};

// Batches above it are not in the default list, except max_num_seqs itself.
inline constexpr int64_t kLargestDefaultBatch = 1024;

// Of decode steps: batches of 1, 2, 4; 8 to 128 by 8; 144 to 256 by 16; 288 to 1024 by 32, those up to
// `max_num_seqs`, and max_num_seqs itself, so that the full batch is always there. A sequence has
// speculative_tokens + 1 tokens in a step.
std::vector<int64_t> default_capture_sizes(int64_t max_num_seqs, int64_t speculative_tokens = 0);

// Of prefill steps: 1, 2, 4 ... doubling below `largest`, and `largest`.
std::vector<int64_t> default_prefill_capture_sizes(int64_t largest);

struct CroppedSizes {
  std::vector<int64_t> kept;     // ascending, each once
  std::vector<int64_t> dropped;  // those above `largest`, likewise
};
CroppedSizes crop_sizes(std::vector<int64_t> sizes, int64_t largest);

}  // namespace reprise::engine

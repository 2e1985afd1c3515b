#include "engine/config/capture_sizes.h"

#include <algorithm>

#include "core/fault.h"

namespace reprise::engine {

std::vector<int64_t> default_capture_sizes(int64_t max_num_seqs, int64_t speculative_tokens) {
  constexpr struct {
    int64_t first, last, step;
  } kRanges[] = {{1, 2, 1}, {4, 4, 1}, {8, 128, 8}, {144, 256, 16}, {288, kLargestDefaultBatch, 32}};
  std::vector<int64_t> sizes;
  for (const auto& range : kRanges)
    for (int64_t size = range.first; size <= std::min(range.last, max_num_seqs); size += range.step)
      sizes.push_back(size);
  const bool full_batch = !fault_is_on(Fault::default_list_lacks_the_full_batch);
  if (sizes.empty() || (sizes.back() < max_num_seqs && full_batch)) sizes.push_back(max_num_seqs);
  for (int64_t& size : sizes) size *= speculative_tokens + 1;
  return sizes;
}

std::vector<int64_t> default_prefill_capture_sizes(int64_t largest) {
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size < largest; size *= 2) sizes.push_back(size);
  sizes.push_back(largest);
  return sizes;
}

CroppedSizes crop_sizes(std::vector<int64_t> sizes, int64_t largest) {
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  auto first_dropped = std::upper_bound(sizes.begin(), sizes.end(), largest);
  if (fault_is_on(Fault::crop_keeps_one_too_large) && first_dropped != sizes.end()) ++first_dropped;
  if (fault_is_on(Fault::crop_drops_the_limit))
    first_dropped = std::lower_bound(sizes.begin(), sizes.end(), largest);
  return {.kept = {sizes.begin(), first_dropped}, .dropped = {first_dropped, sizes.end()}};
}

}  // namespace reprise::engine

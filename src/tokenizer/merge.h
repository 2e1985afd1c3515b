// The merge loop of BPE: join the neighbouring pair of lowest rank (leftmost among equals) until no pair may
// join. Short words, nearly all, are scanned; long ones go through a heap, so that a text without blanks
// stays O(n log n). The heap's rule for outdated entries is the tokenizers library's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <queue>
#include <vector>

namespace reprise::tokenizer {

struct Symbol {
  int32_t id;
  uint32_t begin;  // bytes of the piece that it covers; merging adds the lengths
  uint32_t length;
};

struct MergeResult {
  uint32_t rank;
  int32_t id;
};
inline constexpr uint32_t kNoRank = UINT32_MAX;

namespace detail {

template <typename Lookup>
void merge_by_scan(std::vector<Symbol>& symbols, const Lookup& lookup) {
  constexpr size_t kMost = 64;
  MergeResult pairs[kMost];
  size_t count = symbols.size();
  for (size_t k = 0; k + 1 < count; ++k) pairs[k] = lookup(symbols[k], symbols[k + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t k = 1; k + 1 < count; ++k) {
      if (pairs[k].rank < pairs[best].rank) best = k;
    }
    if (pairs[best].rank == kNoRank) break;
    symbols[best].id = pairs[best].id;
    symbols[best].length += symbols[best + 1].length;
    --count;
    for (size_t k = best + 1; k < count; ++k) symbols[k] = symbols[k + 1];
    for (size_t k = best + 1; k + 1 < count; ++k) pairs[k] = pairs[k + 1];
    if (best > 0) pairs[best - 1] = lookup(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs[best] = lookup(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

template <typename Lookup>
void merge_by_heap(std::vector<Symbol>& symbols, const Lookup& lookup) {
  struct Entry {
    uint32_t rank;
    uint32_t at;
    int32_t id;
    bool operator<(const Entry& other) const {  // the queue pops the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  constexpr uint32_t kEnd = UINT32_MAX;
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> previous(count), next(count);
  std::vector<char> gone(count, 0);
  std::vector<Entry> entries;
  entries.reserve(count);
  for (uint32_t k = 0; k < count; ++k) {
    previous[k] = k == 0 ? kEnd : k - 1;
    next[k] = k + 1 == count ? kEnd : k + 1;
    if (k + 1 == count) break;
    const MergeResult result = lookup(symbols[k], symbols[k + 1]);
    if (result.rank != kNoRank) entries.push_back({result.rank, k, result.id});
  }
  std::priority_queue<Entry> queue(std::less<Entry>(), std::move(entries));
  const auto offer = [&](uint32_t at) {
    const MergeResult result = lookup(symbols[at], symbols[next[at]]);
    if (result.rank != kNoRank) queue.push({result.rank, at, result.id});
  };
  while (!queue.empty()) {
    const Entry top = queue.top();
    queue.pop();
    if (gone[top.at] || next[top.at] == kEnd) continue;
    const uint32_t right = next[top.at];
    const MergeResult now = lookup(symbols[top.at], symbols[right]);
    if (now.rank == kNoRank || now.id != top.id) continue;  // one of the two has been merged meanwhile
    symbols[top.at].id = top.id;
    symbols[top.at].length += symbols[right].length;
    gone[right] = 1;
    next[top.at] = next[right];
    if (next[right] != kEnd) previous[next[right]] = top.at;
    if (previous[top.at] != kEnd) offer(previous[top.at]);
    if (next[top.at] != kEnd) offer(top.at);
  }
  size_t kept = 0;
  for (uint32_t k = 0; k < count; ++k) {
    if (!gone[k]) symbols[kept++] = symbols[k];
  }
  symbols.resize(kept);
}

}  // namespace detail

// lookup(left, right) -> MergeResult, with rank kNoRank when the two may not join.
template <typename Lookup>
void merge_symbols(std::vector<Symbol>& symbols, const Lookup& lookup) {
  constexpr size_t kScanUpTo = 40;
  if (symbols.size() <= kScanUpTo) {
    detail::merge_by_scan(symbols, lookup);
  } else {
    detail::merge_by_heap(symbols, lookup);
  }
}

}  // namespace reprise::tokenizer

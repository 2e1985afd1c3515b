#include "tokenizer/byte_trie.h"

#include <algorithm>

namespace reprise::tokenizer {

ByteTrie::ByteTrie(std::vector<std::pair<std::string, int32_t>> keys) {
  std::erase_if(keys, [](const auto& key) { return key.first.empty(); });
  std::stable_sort(keys.begin(), keys.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  // Each node owns the range of keys that share its prefix; its children split that range by the next byte.
  struct Range {
    size_t begin, end, depth;
  };
  std::vector<Range> ranges = {{0, keys.size(), 0}};
  nodes_.emplace_back();
  labels_.push_back(0);
  for (size_t node = 0; node < nodes_.size(); ++node) {
    auto [begin, end, depth] = ranges[node];
    while (begin < end && keys[begin].first.size() == depth) nodes_[node].value = keys[begin++].second;
    nodes_[node].first_child = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const char label = keys[begin].first[depth];
      size_t next = begin;
      while (next < end && keys[next].first[depth] == label) ++next;
      ++nodes_[node].children;
      if (node == 0) root_[static_cast<unsigned char>(label)] = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
      labels_.push_back(static_cast<unsigned char>(label));
      ranges.push_back({begin, next, depth + 1});
      begin = next;
    }
  }
}

uint32_t ByteTrie::child(uint32_t node, unsigned char label) const {
  const unsigned char* first = labels_.data() + nodes_[node].first_child;
  const unsigned char* last = first + nodes_[node].children;
  const unsigned char* found =
      last - first > 16 ? std::lower_bound(first, last, label) : std::find(first, last, label);
  return found != last && *found == label ? static_cast<uint32_t>(found - labels_.data()) : 0;
}

}  // namespace reprise::tokenizer

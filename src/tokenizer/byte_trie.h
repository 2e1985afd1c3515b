// A trie over bytes: finds the keys that a text begins with, in one step for each byte. Used by Unigram (all
// tokens that are prefixes of a text) and for added tokens (the longest one). Nodes are in breadth-first
// order, so the children of a node are neighbours and are searched by a short scan. Immutable, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reprise::tokenizer {

class ByteTrie {
 public:
  ByteTrie() : ByteTrie(std::vector<std::pair<std::string, int32_t>>{}) {}
  // Keys with their values (>= 0). Empty keys are left out; of equal keys the last one counts.
  explicit ByteTrie(std::vector<std::pair<std::string, int32_t>> keys);

  bool empty() const { return nodes_.size() == 1; }
  bool may_start_with(unsigned char byte) const { return root_[byte] != 0; }

  // Calls visit(length, value) for each key that is a prefix of `text`, shortest first.
  template <typename Visit>
  void for_each_prefix(std::string_view text, Visit&& visit) const {
    if (text.empty()) return;
    uint32_t node = root_[static_cast<unsigned char>(text[0])];
    for (size_t length = 1; node != 0; ++length) {
      if (nodes_[node].value >= 0) visit(length, nodes_[node].value);
      if (length == text.size()) return;
      node = child(node, static_cast<unsigned char>(text[length]));
    }
  }

 private:
  struct Node {
    uint32_t first_child = 0;
    uint32_t children = 0;
    int32_t value = -1;
  };
  uint32_t child(uint32_t node, unsigned char label) const;

  std::vector<Node> nodes_;
  std::vector<unsigned char> labels_;  // of the edge into each node
  uint32_t root_[256] = {};            // child of the root by byte; 0: none
};

}  // namespace reprise::tokenizer

#include "tokenizer/vocab.h"

#include <algorithm>
#include <bit>

#include "tokenizer/hash.h"

namespace reprise::tokenizer {

Vocab::Vocab(const std::vector<std::string>& tokens) {
  size_t total = 0;
  for (const std::string& token : tokens) total += token.size();
  bytes_.reserve(total);
  spans_.reserve(tokens.size());
  buckets_.assign(std::bit_ceil(tokens.size() * 2 + 1), kNoToken);
  for (const std::string& token : tokens) {
    const auto id = static_cast<int32_t>(spans_.size());
    spans_.push_back({bytes_.size(), token.size()});
    bytes_ += token;
    size_t bucket = hash_bytes(token) & (buckets_.size() - 1);
    while (buckets_[bucket] != kNoToken && text(buckets_[bucket]) != token) {
      bucket = (bucket + 1) & (buckets_.size() - 1);
    }
    buckets_[bucket] = id;
  }
}

size_t Vocab::longest() const {
  size_t longest = 0;
  for (const Span& span : spans_) longest = std::max(longest, span.length);
  return longest;
}

int32_t Vocab::find(std::string_view wanted) const {
  if (buckets_.empty()) return kNoToken;
  size_t bucket = hash_bytes(wanted) & (buckets_.size() - 1);
  while (buckets_[bucket] != kNoToken) {
    if (text(buckets_[bucket]) == wanted) return buckets_[bucket];
    bucket = (bucket + 1) & (buckets_.size() - 1);
  }
  return kNoToken;
}

}  // namespace reprise::tokenizer

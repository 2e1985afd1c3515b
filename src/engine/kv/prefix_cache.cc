#include "engine/kv/prefix_cache.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "core/seeded_hash.h"

namespace reprise::engine {

PrefixCache::PrefixCache(int64_t blocks, int64_t block_size) : block_size_(block_size) {
  REPRISE_CHECK(blocks >= 1 && block_size >= 1, "{} blocks of {} tokens", blocks, block_size);
  const auto ids = static_cast<size_t>(blocks) + 1;
  buckets_.resize(std::bit_ceil(ids));
  next_.resize(ids);
  parent_.resize(ids);
  hash_.resize(ids);
  tokens_.resize(ids * static_cast<size_t>(block_size));
  clear();
}

size_t PrefixCache::bytes_per_block(int64_t block_size) {
  // Of the buckets there are at most two a block.
  return static_cast<size_t>(block_size) * sizeof(int32_t) + 4 * sizeof(BlockId) + sizeof(uint64_t);
}

void PrefixCache::clear() noexcept {
  std::fill(buckets_.begin(), buckets_.end(), kNullBlock);
  std::fill(parent_.begin(), parent_.end(), kAbsent);
  salts_.clear();
  size_ = 0;
}

// With the process's key: nobody can prepare prompts that all fall into one bucket.
uint64_t PrefixCache::hash(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const {
  HashKey key = process_hash_key();
  key.first ^= static_cast<uint64_t>(parent);
  if (!salt.empty()) key.second ^= siphash_1_3(salt, key);
  return siphash_1_3({reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()}, key);
}

bool PrefixCache::holds(BlockId block, uint64_t hash, BlockId parent, std::span<const int32_t> tokens,
                        std::string_view salt) const {
  const auto at = static_cast<size_t>(block);
  if (hash_[at] != hash || parent_[at] != parent) return false;
  const int32_t* own = tokens_.data() + at * static_cast<size_t>(block_size_);
  if (!std::equal(tokens.begin(), tokens.end(), own)) return false;
  if (parent != kNullBlock) return true;
  const auto salted = salts_.find(block);
  return salted == salts_.end() ? salt.empty() : salted->second == salt;
}

BlockId PrefixCache::find(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const {
  if (size_ == 0) return kNullBlock;
  if (parent != kNullBlock) salt = {};
  const uint64_t wanted = hash(parent, tokens, salt);
  BlockId block = buckets_[wanted & (buckets_.size() - 1)];
  while (block != kNullBlock && !holds(block, wanted, parent, tokens, salt))
    block = next_[static_cast<size_t>(block)];
  return block;
}

void PrefixCache::insert(BlockId block, BlockId parent, std::span<const int32_t> tokens,
                         std::string_view salt) {
  REPRISE_CHECK(!contains(block) && static_cast<int64_t>(tokens.size()) == block_size_,
                "block {} with {} tokens", block, tokens.size());
  if (parent != kNullBlock) salt = {};
  if (!salt.empty()) salts_.emplace(block, salt);
  const auto at = static_cast<size_t>(block);
  hash_[at] = hash(parent, tokens, salt);
  parent_[at] = parent;
  std::copy(tokens.begin(), tokens.end(), tokens_.data() + at * static_cast<size_t>(block_size_));
  next_[at] = std::exchange(bucket(hash_[at]), block);
  ++size_;
}

void PrefixCache::erase(BlockId block) noexcept {
  const auto at = static_cast<size_t>(block);
  if (parent_[at] == kAbsent) return;
  BlockId* link = &bucket(hash_[at]);
  while (*link != block) link = &next_[static_cast<size_t>(*link)];
  *link = next_[at];
  if (parent_[at] == kNullBlock) salts_.erase(block);
  parent_[at] = kAbsent;
  --size_;
}

}  // namespace reprise::engine

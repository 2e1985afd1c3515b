// Which KV blocks hold the keys and values of which tokens, so that a prompt whose beginning was computed before
// shares those blocks instead of computing them again. A full block is found by its tokens and by the block before
// it, hence by all tokens from the beginning on (as the hash-chained blocks of vLLM; here whole tokens are compared,
// so two prompts with one hash can't be taken for each other). Who may use a block, and when one is reused for other
// tokens, is BlockPool's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace reprise::engine {

using BlockId = int32_t;

// Padding rows of a step read and write this block. It is never allocated to a sequence.
inline constexpr BlockId kNullBlock = 0;

// Thread of the engine only. Block ids are [1, blocks].
class PrefixCache {
 public:
  // `block_size` tokens are in a block.
  PrefixCache(int64_t blocks, int64_t block_size);
  // What it holds, to be counted before there is one.
  static size_t bytes_per_block(int64_t block_size);

  // The block with these block_size tokens after those of `parent`; kNullBlock as parent: they begin a prompt, and
  // only prompts with the same `salt` share them (further blocks have it by their parent). kNullBlock: there is none.
  BlockId find(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const;
  // `block`, which is not in the cache, holds these tokens from now on; find() has not found them. Throws
  // std::bad_alloc for a salt only; nothing has changed then.
  void insert(BlockId block, BlockId parent, std::span<const int32_t> tokens, std::string_view salt);
  // Forgets a block that is no other's parent.
  void erase(BlockId block) noexcept;
  bool contains(BlockId block) const { return parent_[static_cast<size_t>(block)] != kAbsent; }
  int64_t size() const { return size_; }  // blocks
  int64_t block_size() const { return block_size_; }
  void clear() noexcept;

 private:
  static constexpr BlockId kAbsent = -1;

  uint64_t hash(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const;
  BlockId& bucket(uint64_t hash) { return buckets_[hash & (buckets_.size() - 1)]; }
  bool holds(BlockId block, uint64_t hash, BlockId parent, std::span<const int32_t> tokens,
             std::string_view salt) const;

  // A hash table whose entries are chained through the blocks' own places: nothing is allocated when a block is
  // added, which happens within decode steps.
  int64_t block_size_;
  int64_t size_ = 0;
  std::vector<BlockId> buckets_;        // the first block of each chain; a power of two
  std::vector<BlockId> next_, parent_;  // by block
  std::vector<uint64_t> hash_;
  std::vector<int32_t> tokens_;                     // [blocks + 1, block_size]
  std::unordered_map<BlockId, std::string> salts_;  // of first blocks that have one
};

}  // namespace reprise::engine

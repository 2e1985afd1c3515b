// Which blocks of the KV cache are in use. BlockPool allocates and frees block numbers; everything else
// only reads them. Each block has a reference count, so that sequences may share it. With a prefix cache, a full
// block keeps its contents when nobody refers to it any more, until the block is needed for something else.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/kv/prefix_cache.h"

namespace reprise::engine {

// Thread of the engine only.
class BlockPool {
 public:
  // `blocks`: how many can be allocated, [1, 2^31 - 2]; their ids are 1 to `blocks`. Throws Error
  // otherwise. `block_size`: tokens in a block, for the prefix cache; 0: without one.
  explicit BlockPool(int64_t blocks, int64_t block_size = 0);

  int64_t total() const { return static_cast<int64_t>(references_.size()) - 1; }
  // What allocate() can give: blocks that hold nothing, and those of the prefix cache that nobody refers to.
  int64_t free() const { return static_cast<int64_t>(free_.size()) + idle_; }

  // Appends `count` <= free() blocks to `to`, each with one reference. Where `to` can't grow it throws
  // std::bad_alloc and no block was taken. Blocks that hold nothing first, then the cached ones that were released
  // the longest ago; of one prompt the last first, so that what is left can still be found.
  void allocate(int64_t count, std::vector<BlockId>& to);
  // Adds a reference to `block`, which must have one or be cached.
  void share(BlockId block);
  int32_t references(BlockId block) const;
  // Takes one reference from each block; one whose last reference goes is free again. Allocates nothing. A
  // block without a reference is a fault of the caller and throws InternalError. Of a sequence: all its blocks at
  // once, in their order.
  void release(std::span<const BlockId> blocks);
  // Makes every block free, whatever its references, and forgets what is cached.
  void reset() noexcept;
  // Forgets what is cached: blocks in use stay in use, but nobody finds them any more. For contents that are gone.
  void forget_cached() noexcept;

  bool caches() const { return cache_.has_value(); }
  int64_t cached() const { return cache_.has_value() ? cache_->size() : 0; }
  // The cached block with these tokens after `parent` (PrefixCache::find); kNullBlock: none.
  BlockId find_cached(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const;
  // `block`, to which the caller refers, is full of these tokens: others find it from now on. Returns the block that
  // they find: where an equal one was there already, that one, and the caller's reference goes over to it (both
  // hold the same bits). Throws std::bad_alloc for a salt only; nothing has changed then.
  BlockId cache(BlockId block, BlockId parent, std::span<const int32_t> tokens, std::string_view salt);

 private:
  // Blocks of the prefix cache without references, in the order of their release: a list through `older_` and
  // `newer_` whose ends are at the null block. Whoever refers to a block refers to all before it in its prompt, and
  // a sequence releases its last block first, so that no block is older here than one that follows it in a prompt.
  void append_idle(BlockId block) noexcept;
  void remove_idle(BlockId block) noexcept;
  void drop(BlockId block) noexcept;  // the last reference is gone

  std::vector<int32_t> references_;  // by block id
  std::vector<BlockId> free_;        // a stack: the block freed last is likely still in the CPU's cache
  std::optional<PrefixCache> cache_;
  std::vector<BlockId> older_, newer_;
  int64_t idle_ = 0;
};

}  // namespace reprise::engine

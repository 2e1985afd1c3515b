// Who holds which block of the KV cache. One object hands blocks out and takes them back; everything else
// only reads block numbers. Blocks are counted, so that sequences may share them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise::engine {

using BlockId = int32_t;

// Padding rows point at it; it belongs to nobody and is never handed out.
inline constexpr BlockId kNullBlock = 0;

// Thread of the engine only.
class BlockPool {
 public:
  // `blocks` that can be handed out: ids 1 to blocks. Throws Error when that isn't positive.
  explicit BlockPool(int64_t blocks);

  int64_t total() const { return static_cast<int64_t>(references_.size()) - 1; }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }

  // Appends `count` blocks, each with one reference. The caller has asked free() first. Where `to` can't
  // grow, it throws and no block was taken.
  void allocate(int64_t count, std::vector<BlockId>& to);
  // One more holder of `block`.
  void share(BlockId block);
  int32_t references(BlockId block) const;
  // One holder less for each; a block without holders is free.
  void release(std::span<const BlockId> blocks);
  // Every block is free, whoever held it.
  void reset() noexcept;

 private:
  std::vector<int32_t> references_;  // by block id
  std::vector<BlockId> free_;        // a stack: the block freed last is still in cache
};

}  // namespace reprise::engine

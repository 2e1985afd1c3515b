// Which blocks of the KV cache are in use. BlockPool allocates and frees block numbers; everything else
// only reads them. Each block has a reference count, so that sequences may share it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace reprise::engine {

using BlockId = int32_t;

// Padding rows of a step read and write this block. It is never allocated to a sequence.
inline constexpr BlockId kNullBlock = 0;

// Thread of the engine only.
class BlockPool {
 public:
  // `blocks`: how many can be allocated, [1, 2^31 - 2]; their ids are 1 to `blocks`. Throws Error
  // otherwise.
  explicit BlockPool(int64_t blocks);

  int64_t total() const { return static_cast<int64_t>(references_.size()) - 1; }
  int64_t free() const { return static_cast<int64_t>(free_.size()); }

  // Appends `count` <= free() blocks to `to`, each with one reference. Where `to` can't grow it throws
  // std::bad_alloc and no block was taken.
  void allocate(int64_t count, std::vector<BlockId>& to);
  // Adds a reference to `block`, which must have one.
  void share(BlockId block);
  int32_t references(BlockId block) const;
  // Takes one reference from each block; one whose last reference goes is free again. Allocates nothing. A
  // block without a reference is a fault of the caller and throws InternalError.
  void release(std::span<const BlockId> blocks);
  // Makes every block free, whatever its references.
  void reset() noexcept;

 private:
  std::vector<int32_t> references_;  // by block id
  std::vector<BlockId> free_;        // a stack: the block freed last is likely still in the CPU's cache
};

}  // namespace reprise::engine

#include "engine/kv/kv_blocks.h"

#include <algorithm>

#include "core/error.h"

namespace reprise::engine {

BlockPool::BlockPool(int64_t blocks) {
  if (blocks < 1 || blocks >= INT32_MAX)
    throw Error("[kv cache] {} blocks, expected 1 to {}; give the KV cache more (--kv-cache-memory)", blocks,
                INT32_MAX - 1);
  references_.resize(static_cast<size_t>(blocks) + 1);
  free_.reserve(static_cast<size_t>(blocks));
  reset();
}

void BlockPool::reset() noexcept {
  std::fill(references_.begin(), references_.end(), 0);
  free_.clear();
  for (int64_t id = total(); id >= 1; --id) free_.push_back(static_cast<BlockId>(id));  // reserved
}

void BlockPool::allocate(int64_t count, std::vector<BlockId>& to) {
  REPRISE_CHECK(count >= 0 && count <= free(), "{} blocks wanted, {} are free", count, free());
  to.reserve(to.size() + static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const BlockId id = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(id)] = 1;
    to.push_back(id);
  }
}

void BlockPool::share(BlockId block) {
  REPRISE_CHECK(references(block) > 0, "block {} is shared but nobody holds it", block);
  ++references_[static_cast<size_t>(block)];
}

int32_t BlockPool::references(BlockId block) const {
  REPRISE_CHECK(block > kNullBlock && block <= total(), "block {} of {}", block, total());
  return references_[static_cast<size_t>(block)];
}

void BlockPool::release(std::span<const BlockId> blocks) {
  for (BlockId block : blocks) {
    REPRISE_CHECK(references(block) > 0, "block {} is freed twice", block);
    if (--references_[static_cast<size_t>(block)] == 0) free_.push_back(block);
  }
}

}  // namespace reprise::engine

#include "engine/kv/kv_blocks.h"

#include <algorithm>

#include "core/error.h"

namespace reprise::engine {

BlockPool::BlockPool(int64_t blocks, int64_t block_size) {
  if (blocks < 1 || blocks >= INT32_MAX)
    throw Error("[kv cache] {} blocks, expected 1 to {}; give the KV cache more (--kv-cache-memory)", blocks,
                INT32_MAX - 1);
  references_.resize(static_cast<size_t>(blocks) + 1);
  free_.reserve(static_cast<size_t>(blocks));
  if (block_size > 0) {
    cache_.emplace(blocks, block_size);
    older_.resize(references_.size());
    newer_.resize(references_.size());
  }
  reset();
}

void BlockPool::reset() noexcept {
  std::fill(references_.begin(), references_.end(), 0);
  free_.clear();
  for (int64_t id = total(); id >= 1; --id) free_.push_back(static_cast<BlockId>(id));  // reserved
  idle_ = 0;
  if (!cache_.has_value()) return;
  cache_->clear();
  older_[kNullBlock] = newer_[kNullBlock] = kNullBlock;
}

void BlockPool::forget_cached() noexcept {
  if (!cache_.has_value()) return;
  cache_->clear();
  while (idle_ > 0) {
    const BlockId block = newer_[kNullBlock];
    remove_idle(block);
    free_.push_back(block);
  }
}

void BlockPool::append_idle(BlockId block) noexcept {
  const BlockId last = older_[kNullBlock];
  older_[static_cast<size_t>(block)] = last;
  newer_[static_cast<size_t>(block)] = kNullBlock;
  newer_[static_cast<size_t>(last)] = block;
  older_[kNullBlock] = block;
  ++idle_;
}

void BlockPool::remove_idle(BlockId block) noexcept {
  const BlockId older = older_[static_cast<size_t>(block)], newer = newer_[static_cast<size_t>(block)];
  newer_[static_cast<size_t>(older)] = newer;
  older_[static_cast<size_t>(newer)] = older;
  --idle_;
}

void BlockPool::allocate(int64_t count, std::vector<BlockId>& to) {
  REPRISE_CHECK(count >= 0 && count <= free(), "{} blocks wanted, {} are free", count, free());
  to.reserve(to.size() + static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    if (free_.empty()) {
      const BlockId oldest = newer_[kNullBlock];
      remove_idle(oldest);
      cache_->erase(oldest);
      free_.push_back(oldest);
    }
    const BlockId id = free_.back();
    free_.pop_back();
    references_[static_cast<size_t>(id)] = 1;
    to.push_back(id);
  }
}

void BlockPool::share(BlockId block) {
  if (references(block) == 0) {
    REPRISE_CHECK(cache_.has_value() && cache_->contains(block), "block {} is shared but nobody holds it",
                  block);
    remove_idle(block);
  }
  ++references_[static_cast<size_t>(block)];
}

int32_t BlockPool::references(BlockId block) const {
  REPRISE_CHECK(block > kNullBlock && block <= total(), "block {} of {}", block, total());
  return references_[static_cast<size_t>(block)];
}

void BlockPool::drop(BlockId block) noexcept {
  if (cache_.has_value() && cache_->contains(block))
    append_idle(block);
  else
    free_.push_back(block);
}

void BlockPool::release(std::span<const BlockId> blocks) {
  for (size_t i = blocks.size(); i-- > 0;) {
    const BlockId block = blocks[i];
    REPRISE_CHECK(references(block) > 0, "block {} is freed twice", block);
    if (--references_[static_cast<size_t>(block)] == 0) drop(block);
  }
}

BlockId BlockPool::find_cached(BlockId parent, std::span<const int32_t> tokens, std::string_view salt) const {
  return cache_.has_value() ? cache_->find(parent, tokens, salt) : kNullBlock;
}

BlockId BlockPool::cache(BlockId block, BlockId parent, std::span<const int32_t> tokens,
                         std::string_view salt) {
  REPRISE_CHECK(references(block) > 0, "block {} is cached but nobody holds it", block);
  const BlockId there = cache_->find(parent, tokens, salt);
  if (there == kNullBlock) {
    cache_->insert(block, parent, tokens, salt);
    return block;
  }
  share(there);
  release({&block, 1});
  return there;
}

}  // namespace reprise::engine

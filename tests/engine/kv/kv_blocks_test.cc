#include "engine/kv/kv_blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "core/error.h"

namespace reprise::engine {
namespace {

TEST(BlockPool, NeverHandsOutTheNullBlock) {
  BlockPool pool(5);
  std::vector<BlockId> held;
  pool.allocate(5, held);
  EXPECT_EQ(std::set<BlockId>(held.begin(), held.end()), (std::set<BlockId>{1, 2, 3, 4, 5}));
  EXPECT_EQ(pool.free(), 0);
  EXPECT_THROW(pool.allocate(1, held), InternalError);
}

TEST(BlockPool, RefusesDoubleFreesAndStrangers) {
  BlockPool pool(3);
  std::vector<BlockId> held;
  pool.allocate(1, held);
  pool.release(held);
  EXPECT_THROW(pool.release(held), InternalError);
  EXPECT_THROW(pool.share(held[0]), InternalError);
  const BlockId strangers[] = {kNullBlock, 4, -1};
  for (BlockId stranger : strangers) EXPECT_THROW(pool.release({&stranger, 1}), InternalError) << stranger;
  EXPECT_THROW(BlockPool(0), Error);
}

TEST(BlockPool, AgreesWithAModelOfItUnderRandomUse) {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const int64_t total = 1 + static_cast<int64_t>(random() % 40);
    BlockPool pool(total);
    std::vector<std::vector<BlockId>> holders;
    for (int step = 0; step < 500; ++step) {
      switch (random() % 3) {
        case 0: {
          std::vector<BlockId> blocks;
          pool.allocate(static_cast<int64_t>(random() % static_cast<uint64_t>(pool.free() + 1)), blocks);
          holders.push_back(std::move(blocks));
          break;
        }
        case 1:
          if (!holders.empty()) {
            std::vector<BlockId> copy = holders[random() % holders.size()];
            for (BlockId block : copy) pool.share(block);
            holders.push_back(std::move(copy));
          }
          break;
        case 2:
          if (!holders.empty()) {
            const size_t victim = random() % holders.size();
            pool.release(holders[victim]);
            holders.erase(holders.begin() + static_cast<std::ptrdiff_t>(victim));
          }
          break;
      }
      std::multiset<BlockId> all;
      for (const auto& blocks : holders) all.insert(blocks.begin(), blocks.end());
      const std::set<BlockId> distinct(all.begin(), all.end());
      ASSERT_EQ(pool.free() + static_cast<int64_t>(distinct.size()), total);
      for (BlockId block = 1; block <= total; ++block)
        ASSERT_EQ(pool.references(block), static_cast<int32_t>(all.count(block)));
    }
  }
}

}  // namespace
}  // namespace reprise::engine

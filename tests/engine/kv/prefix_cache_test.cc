#include "engine/kv/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

#include "core/error.h"
#include "engine/kv/kv_blocks.h"

namespace reprise::engine {
namespace {

using Tokens = std::vector<int32_t>;

TEST(PrefixCache, FindsABlockByTokensParentAndSalt) {
  PrefixCache cache(5, 2);
  EXPECT_EQ(cache.find(kNullBlock, Tokens{1, 2}, ""), kNullBlock);
  cache.insert(3, kNullBlock, Tokens{1, 2}, "");
  cache.insert(5, 3, Tokens{1, 2}, "a salt counts at the beginning alone");
  cache.insert(1, kNullBlock, Tokens{1, 2}, "salt");
  EXPECT_EQ(cache.find(kNullBlock, Tokens{1, 2}, ""), 3);
  EXPECT_EQ(cache.find(3, Tokens{1, 2}, ""), 5);
  EXPECT_EQ(cache.find(3, Tokens{1, 2}, "another"), 5);
  EXPECT_EQ(cache.find(kNullBlock, Tokens{1, 2}, "salt"), 1);
  EXPECT_EQ(cache.find(kNullBlock, Tokens{1, 2}, "sal"), kNullBlock);
  EXPECT_EQ(cache.find(kNullBlock, Tokens{2, 1}, ""), kNullBlock);
  EXPECT_EQ(cache.find(1, Tokens{1, 2}, "salt"), kNullBlock) << "nothing follows the salted block";
  EXPECT_THROW(cache.insert(3, kNullBlock, Tokens{1, 2}, ""), InternalError);
  EXPECT_THROW(cache.insert(2, kNullBlock, Tokens{1}, ""), InternalError);
  cache.erase(5);
  cache.erase(5);
  EXPECT_EQ(cache.size(), 2);
  EXPECT_EQ(cache.find(3, Tokens{1, 2}, ""), kNullBlock);
  cache.clear();
  EXPECT_EQ(cache.size(), 0);
  EXPECT_EQ(cache.find(kNullBlock, Tokens{1, 2}, "salt"), kNullBlock);
}

TEST(PrefixCache, AgreesWithAMapUnderRandomUse) {
  std::mt19937 random(3);
  const auto below = [&](int most) { return static_cast<int>(random() % static_cast<unsigned>(most)); };
  PrefixCache cache(200, 3);
  std::map<std::tuple<BlockId, Tokens, std::string>, BlockId> expected;
  std::map<BlockId, std::tuple<BlockId, Tokens, std::string>> by_block;
  const std::string salts[] = {"", "a", "b"};
  for (int step = 0; step < 20000; ++step) {
    const BlockId parent = below(4);
    Tokens tokens = {below(5), below(5), below(5)};
    const std::string salt = parent == kNullBlock ? salts[below(3)] : "";
    const auto key = std::tuple(parent, tokens, salt);
    const auto found = expected.find(key);
    ASSERT_EQ(cache.find(parent, tokens, salt), found == expected.end() ? kNullBlock : found->second);
    const BlockId block = 1 + below(200);
    if (const auto held = by_block.find(block); held != by_block.end()) {
      cache.erase(block);
      expected.erase(held->second);
      by_block.erase(held);
    } else if (found == expected.end()) {
      cache.insert(block, parent, tokens, salt);
      expected[key] = block;
      by_block[block] = key;
    }
    ASSERT_EQ(cache.size(), static_cast<int64_t>(expected.size()));
  }
}

TEST(BlockPool, GivesOutCachedBlocksLastAndTheOldestFirst) {
  BlockPool pool(4, 2);
  Tokens tokens = {1, 2, 3, 4};
  const auto part = [&](size_t at) { return std::span<const int32_t>(tokens).subspan(at * 2, 2); };
  std::vector<BlockId> first;
  pool.allocate(2, first);
  ASSERT_EQ(pool.cache(first[0], kNullBlock, part(0), ""), first[0]);
  ASSERT_EQ(pool.cache(first[1], first[0], part(1), ""), first[1]);
  // A second sequence that computed the same gives its block back for the first one's.
  std::vector<BlockId> second;
  pool.allocate(1, second);
  EXPECT_EQ(pool.free(), 1);
  EXPECT_EQ(pool.cache(second[0], kNullBlock, part(0), ""), first[0]);
  EXPECT_EQ(pool.references(first[0]), 2);
  EXPECT_EQ(pool.free(), 2);
  pool.release(first);
  EXPECT_EQ(pool.free(), 3) << "the second block is idle, the first is still in use";
  pool.release({first.data(), 1});
  EXPECT_EQ(pool.free(), 4);
  EXPECT_EQ(pool.find_cached(kNullBlock, part(0), ""), first[0]);
  std::vector<BlockId> all;
  pool.allocate(3, all);
  EXPECT_EQ(all[2], first[1]) << "the end of the prompt goes first";
  EXPECT_EQ(pool.find_cached(first[0], part(1), ""), kNullBlock);
  EXPECT_EQ(pool.find_cached(kNullBlock, part(0), ""), first[0]);
  pool.share(first[0]);
  EXPECT_EQ(pool.free(), 0);
  EXPECT_THROW(pool.allocate(1, all), InternalError);
  pool.forget_cached();
  EXPECT_EQ(pool.find_cached(kNullBlock, part(0), ""), kNullBlock);
  EXPECT_EQ(pool.references(first[0]), 1);
  pool.release({first.data(), 1});
  EXPECT_EQ(pool.free(), 1);
  pool.allocate(1, all);
  pool.reset();
  EXPECT_EQ(pool.free(), 4);
}

}  // namespace
}  // namespace reprise::engine

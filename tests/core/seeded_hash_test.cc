#include "core/seeded_hash.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

// The key of the SipHash paper's test vectors is 00 01 .. 0f; values of SipHash-1-3 from the Rust standard
// library's tests (library/core/tests/hash/sip.rs, test_siphash_1_3), inputs 00, 00 01, ... of growing
// length.
TEST(SeededHash, IsSipHash13) {
  const HashKey key = {.first = 0x0706050403020100u, .second = 0x0f0e0d0c0b0a0908u};
  const uint64_t expected[] = {0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d,
                               0x8bf80ab8e7ddf7fb, 0xcf75576088d38328, 0xdef9d52f49533b67,
                               0xc50d2b50c59f22a7, 0xd3927d989bb11140, 0x369095118d299a8e};
  std::string bytes;
  for (const uint64_t hash : expected) {
    EXPECT_EQ(siphash_1_3(bytes, key), hash) << bytes.size();
    bytes += static_cast<char>(bytes.size());
  }
}

TEST(SeededHash, AWordHashesAsItsBytes) {
  const HashKey key = {.first = 1, .second = 2};
  const uint64_t word = 0x8877665544332211u;
  EXPECT_EQ(siphash_1_3(word, key), siphash_1_3("\x11\x22\x33\x44\x55\x66\x77\x88", key));
  EXPECT_NE(siphash_1_3(word, key), siphash_1_3(word, HashKey{.first = 3, .second = 2}));
}

TEST(SeededHash, FindsByViewAndByString) {
  SeededMap<int> map = {{"one", 1}};
  EXPECT_EQ(map.find(std::string_view("one"))->second, 1);
  EXPECT_EQ(map.count(std::string_view("two")), 0u);
  std::unordered_set<int32_t, SeededHash> numbers = {1, -1};
  EXPECT_TRUE(numbers.contains(-1));
}

}  // namespace
}  // namespace reprise

// The hashes of vocabularies and merges are seeded: words that are made to collide without a seed do not with
// one.
#include "tokenizer/hash.h"

#include <gtest/gtest.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "tests/tokenizer/cpu_time.h"
#include "tokenizer/vocab.h"

namespace reprise::tokenizer {
namespace {

TEST(TokenizerHash, EachProcessDrawsASeed) {
  EXPECT_NE(make_hash_seed(), make_hash_seed());
  EXPECT_NE(kHashSeed, 0u);
}

constexpr uint64_t kLowBits = (1 << 12) - 1;
constexpr size_t kWords = 4096;
// At random 4096 words fill 2589 of 4096 buckets. How they spread depends on the seed: in 20,000 seeds, 2048
// words never filled fewer than 190. Without a seed all are in one.
constexpr size_t kLeastBuckets = 64;

// hash_bytes of a word of 4 to 7 bytes, as an attacker knows it: with the seed 0.
uint64_t hash_without_seed(std::string_view word) {
  uint32_t low, high;
  std::memcpy(&low, word.data(), 4);
  std::memcpy(&high, word.data() + word.size() - 4, 4);
  const uint64_t state = word.size() * 0xD6E8FEB86659FD93u;
  return mix(state ^ (static_cast<uint64_t>(high) << 32 | low), 0x9E3779B97F4A7C15u ^ word.size());
}

// Words that all fall into bucket 0 of 4096 without a seed.
std::vector<std::string> colliding_words() {
  std::vector<std::string> words;
  for (uint32_t number = 0; words.size() < kWords; ++number) {
    std::string word(7, 'a');
    for (int at = 0; at < 7; ++at) word[at] = static_cast<char>('a' + (number >> (4 * at) & 15));
    if ((hash_without_seed(word) & kLowBits) == 0) words.push_back(std::move(word));
  }
  return words;
}

TEST(TokenizerHash, WordsMadeToCollideWithoutASeedDoNot) {
  std::unordered_set<uint64_t> buckets;
  for (const std::string& word : colliding_words()) buckets.insert(hash_bytes(word) & kLowBits);
  EXPECT_GT(buckets.size(), kLeastBuckets);
}

TEST(TokenizerHash, PairsMadeToCollideWithoutASeedDoNot) {
  std::unordered_set<uint64_t> buckets;
  size_t pairs = 0;
  for (int32_t number = 0; pairs < kWords; ++number) {
    const int32_t left = number & 0xFFF, right = number >> 12;
    const uint64_t pair = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
    if ((mix(pair, 0x9E3779B97F4A7C15u) & kLowBits) != 0) continue;
    buckets.insert(hash_pair(left, right) & kLowBits);
    ++pairs;
  }
  EXPECT_GT(buckets.size(), kLeastBuckets);
}

// A vocabulary of such words is built and searched about as fast as one of any words.
TEST(TokenizerHash, AVocabularyOfCollidingWordsTakesLinearTime) {
  const std::vector<std::string> colliding = colliding_words();
  std::vector<std::string> plain;
  for (size_t at = 0; at < colliding.size(); ++at) plain.push_back("word" + std::to_string(1000 + at));
  const auto seconds = [](const std::vector<std::string>& words) {
    return cpu_seconds([&] {
      for (int round = 0; round < 10; ++round) {
        const Vocab vocab(words);
        for (const std::string& word : words) ASSERT_NE(vocab.find(word), kNoToken);
      }
    });
  };
  seconds(plain);
  const double usual = seconds(plain);
  EXPECT_LT(seconds(colliding), 10 * usual + 0.002);
}

}  // namespace
}  // namespace reprise::tokenizer

#include "core/seeded_hash.h"

#include <bit>
#include <cstring>
#include <random>

namespace reprise {
namespace {

class SipState {
 public:
  // The four constants are the ASCII text "somepseudorandomlygeneratedbytes".
  explicit SipState(const HashKey& key)
      : v0_(key.first ^ 0x736f6d6570736575u),
        v1_(key.second ^ 0x646f72616e646f6du),
        v2_(key.first ^ 0x6c7967656e657261u),
        v3_(key.second ^ 0x7465646279746573u) {}

  void absorb(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }

  uint64_t finish() {
    v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

HashKey random_key() {
  std::random_device source;
  const auto word = [&] { return static_cast<uint64_t>(source()) << 32 | source(); };
  return {.first = word(), .second = word()};
}

}  // namespace

const HashKey& process_hash_key() {
  static const HashKey key = random_key();
  return key;
}

uint64_t siphash_1_3(std::string_view bytes, const HashKey& key) {
  SipState state(key);
  size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + at, 8);
    state.absorb(word);
  }
  // The last word: the bytes that are left, and the length in its highest byte.
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t i = 0; at + i < bytes.size(); ++i)
    last |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  state.absorb(last);
  return state.finish();
}

uint64_t siphash_1_3(uint64_t word, const HashKey& key) {
  SipState state(key);
  state.absorb(word);
  state.absorb(uint64_t{8} << 56);
  return state.finish();
}

}  // namespace reprise

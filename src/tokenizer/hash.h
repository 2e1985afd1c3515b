// Hashes for the tables of the tokenizer: words are short and looked up in the tens of millions a second, so
// eight bytes are taken at a time and folded through one 128-bit product each (the idea of wyhash). A seed
// that is drawn once in each process keeps a hostile vocabulary or text from being made of colliding words.
// Not for secrets.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace reprise::tokenizer {

uint64_t make_hash_seed();
inline const uint64_t kHashSeed = make_hash_seed();

inline uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u, kOther = 0xD6E8FEB86659FD93u;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = (left * kOther) ^ kHashSeed;
  while (left >= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = mix(state ^ word, kOdd);
    at += 8;
    left -= 8;
  }
  uint64_t tail = 0;
  if (left >= 4) {  // two reads that may overlap cover 4..7 bytes
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    tail = static_cast<uint64_t>(high) << 32 | low;
  } else if (left > 0) {
    tail = static_cast<uint64_t>(static_cast<unsigned char>(at[0])) << 16 |
           static_cast<uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8 |
           static_cast<unsigned char>(at[left - 1]);
  }
  return mix(state ^ tail, kOdd ^ left);
}

inline uint64_t hash_pair(int32_t left, int32_t right) {
  const uint64_t pair =
      static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  return mix(pair ^ kHashSeed, 0x9E3779B97F4A7C15u);
}

// For the containers of the standard library, whose own hash has no seed.
struct SeededHash {
  size_t operator()(std::string_view text) const { return hash_bytes(text); }
};

}  // namespace reprise::tokenizer

// Hashes for the tables of the tokenizer: words are short and looked up in the tens of millions a second, so
// eight bytes are taken at a time and folded through one 128-bit product each (the idea of wyhash). Not for
// secrets.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace reprise::tokenizer {

inline uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15u, kOther = 0xD6E8FEB86659FD93u;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = left * kOther;
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
  return mix(static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right),
             0x9E3779B97F4A7C15u);
}

}  // namespace reprise::tokenizer

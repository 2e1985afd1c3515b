// What "the same bits" means everywhere a program runs in two ways: all of them, but that a NaN is a NaN. Which
// NaN (sign, payload) depends on the order of two operands, which compilers exchange (loop/program.h).
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace reprise::loop {

inline bool same_bits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

inline float widened(uint16_t bf16) {
  return std::bit_cast<float>(static_cast<uint32_t>(bf16) << 16);
}
// Of two bf16.
inline bool same_bits(uint16_t a, uint16_t b) {
  return same_bits(widened(a), widened(b));
}

}  // namespace reprise::loop

// Large inputs from small ones: a mutation of a few bytes then changes what a parser does with a megabyte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace reprise::fuzz {

inline constexpr size_t kMostBytes = size_t{1} << 20;

// The input without its last byte, which says how often it is repeated: below 224 not at all, 224 + k for 2^k
// repetitions (k up to 31), as far as they fit into kMostBytes.
inline std::string amplified(const uint8_t* data, size_t size) {
  if (size == 0) return {};
  const std::string once(reinterpret_cast<const char*>(data), size - 1);
  std::string all = once;
  if (data[size - 1] < 224 || once.empty()) return all;
  size_t times = size_t{1} << (data[size - 1] - 224);
  for (; times > 1 && all.size() + once.size() <= kMostBytes; --times) all += once;
  return all;
}

}  // namespace reprise::fuzz

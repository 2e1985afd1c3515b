// Hash functors for containers whose keys come from outside (keys of JSON objects, names, tokens). The key of
// the hash is random for each process, so nobody can prepare names that all fall into one bucket and make
// every look-up linear.
//
// SipHash-1-3: J.-P. Aumasson and D. Bernstein, "SipHash: a fast short-input PRF" (2012), with one round a
// word and three at the end, as Python and Rust use it. Values differ from run to run: never store or print
// them, and let no result depend on the order of an unordered container.
//
// Everything here may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>

namespace reprise {

struct HashKey {
  uint64_t first = 0;
  uint64_t second = 0;
};

// The key of this process, from the system's random source.
const HashKey& process_hash_key();

uint64_t siphash_1_3(std::string_view bytes, const HashKey& key);
// The same value as for the eight little-endian bytes of `word`.
uint64_t siphash_1_3(uint64_t word, const HashKey& key);

// For std::string, std::string_view (each found by the other: the functor is transparent) and integers.
struct SeededHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return siphash_1_3(text, process_hash_key()); }
  template <typename T>
  requires std::is_integral_v<T> || std::is_enum_v<T> size_t operator()(T number) const {
    return siphash_1_3(static_cast<uint64_t>(number), process_hash_key());
  }
};

// Maps and sets of names, which can be searched with a string_view.
template <typename Value>
using SeededMap = std::unordered_map<std::string, Value, SeededHash, std::equal_to<>>;
using SeededSet = std::unordered_set<std::string, SeededHash, std::equal_to<>>;

}  // namespace reprise

// FNV-1a (Fowler, Noll, Vo) of 64 bits: a digest of text that arrives in pieces, the same in every process. It tells texts
// apart that differ by accident, not by an opponent's will.
#pragma once

#include <cstdint>
#include <string_view>

namespace reprise {

inline constexpr uint64_t kFnv1aOfNothing = 0xcbf29ce484222325;

// The digest of a text that `before` is the digest of, with `text` behind it.
constexpr uint64_t fnv1a(std::string_view text, uint64_t before = kFnv1aOfNothing) {
  for (const char c : text) before = (before ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return before;
}

}  // namespace reprise

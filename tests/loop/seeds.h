// How many random programs or groups a test tries.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace reprise::loop {

// Of each of `parts` parts, for `usual` in all; a tenth under a sanitizer. REPRISE_LOOP_SEEDS sets another number.
inline uint64_t seeds_of_a_part(uint64_t usual, int parts) {
#ifdef REPRISE_SANITIZED
  usual /= 10;
#endif
  const char* const all = std::getenv("REPRISE_LOOP_SEEDS");
  return (all == nullptr ? usual : std::strtoull(all, nullptr, 10)) / static_cast<uint64_t>(parts);
}

}  // namespace reprise::loop

// The two-capture diff: capture a step twice with other contents in every dynamic input (ids, lengths, block
// tables) and compare the recordings launch by launch. Whatever differs depends on data and would be frozen
// into a replay: it is named.
#pragma once

#include <optional>
#include <string>

#include "capture/recording.h"

namespace reprise::capture {

struct Difference {
  size_t launch = 0;  // index
  std::string op, layer, kernel;
  std::string
      what;  // "dims: items T*4 and T*8", "scalars at byte 16", "buffer 2: arena+0 and arena+64", "count"
};

// The first difference, or nothing where the recordings are equal.
std::optional<Difference> first_difference(const Recording& a, const Recording& b);

}  // namespace reprise::capture

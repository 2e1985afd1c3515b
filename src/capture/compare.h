// The two-capture diff: capture a step twice with other contents in every dynamic input (ids, lengths, block
// tables) and compare the recordings launch by launch. A launch that differs depends on those contents, and a
// replay would repeat the captured one: it is named.
#pragma once

#include <optional>
#include <string>

#include "capture/recording.h"

namespace reprise::capture {

struct Difference {
  size_t launch = 0;  // index
  std::string op, layer, kernel;
  // "dims: items T*4 and T*8", "scalars at byte 16", "buffer 2: arena+0 and arena+64", "count: ..."
  std::string what;
};

// The first difference, or nothing where the recordings are equal.
std::optional<Difference> first_difference(const Recording& a, const Recording& b);

}  // namespace reprise::capture

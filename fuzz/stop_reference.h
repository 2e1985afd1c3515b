// The naive search that the fuzzers of stop strings and of output text compare with: no tables, no state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::fuzz {

inline void check(bool condition) {
  if (!condition) std::abort();
}

// Up to 8 strings of at most 100 bytes from the beginning of `text`, each ended by a zero byte; an empty one
// ends the list.
inline std::vector<std::string> take_stops(std::string_view& text) {
  std::vector<std::string> stops;
  while (stops.size() < 8) {
    const size_t end = text.find('\0');
    if (end == std::string_view::npos) break;
    const std::string_view stop = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (stop.empty()) break;
    stops.emplace_back(stop.substr(0, 100));
  }
  return stops;
}

struct Match {
  size_t begin = 0;
  std::string_view stop = {};
  bool found() const { return !stop.empty(); }
};

// The match whose last byte is the first in text[begin, end); of several that end there, the longest.
inline Match first_match(std::string_view text, size_t begin, size_t end,
                         const std::vector<std::string>& stops) {
  for (size_t at = begin + 1; at <= end; ++at) {
    std::string_view longest;
    for (const std::string& stop : stops)
      if (stop.size() > longest.size() && text.substr(0, at).ends_with(stop)) longest = stop;
    if (!longest.empty()) return {at - longest.size(), longest};
  }
  return {};
}

// Bytes at the end of `text` that may begin a stop string.
inline size_t bytes_to_hold(std::string_view text, const std::vector<std::string>& stops) {
  size_t hold = 0;
  for (const std::string& stop : stops)
    for (size_t length = 1; length < stop.size() && length <= text.size(); ++length)
      if (text.ends_with(std::string_view(stop).substr(0, length))) hold = std::max(hold, length);
  return hold;
}

}  // namespace reprise::fuzz

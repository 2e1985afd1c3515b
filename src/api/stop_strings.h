// Finds stop strings in a text that arrives in pieces, in time linear in the text times the number of
// strings.
//
// The strings of one request are prepared once (StopSet) and shared by its outputs; each output has a
// StopFinder. Of several matches the one that ends first counts, and of several that end at the same byte the
// longest. How the text is cut into pieces doesn't matter, except for pieces that `counts` excludes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::api {

// Immutable; safe from many threads. One table of Knuth, Morris and Pratt (SIAM J. Comput. 6, 1977) for each
// string.
class StopSet {
 public:
  // Empty strings are ignored.
  explicit StopSet(const std::vector<std::string>& strings);
  bool empty() const { return patterns_.empty(); }

 private:
  friend class StopFinder;
  struct Pattern {
    std::string text;
    std::vector<uint32_t> border;  // [i]: bytes of text[0..i]'s longest prefix that is a suffix too
  };
  std::vector<Pattern> patterns_;
};

// One text, one thread.
class StopFinder {
 public:
  struct Match {
    size_t begin = 0;       // bytes of the text before the match
    std::string_view text;  // the stop string; valid as long as the StopSet
  };

  // `set` may not be null.
  explicit StopFinder(std::shared_ptr<const StopSet> set);

  // Reads more of the text, up to the first match. `counts` false (the output has not reached its minimum of
  // tokens yet): matches that end in this piece are ignored, but one that begins here may still end in a
  // later piece. After a match read() may not be called again.
  std::optional<Match> read(std::string_view piece, bool counts);
  // How many bytes at the end of the text read so far may be the start of a stop string. The caller must not
  // show them yet. Undefined after a match.
  size_t held() const { return held_; }

 private:
  std::shared_ptr<const StopSet> set_;
  std::vector<uint32_t> matched_;  // of each pattern, the bytes of it that end the text
  size_t length_ = 0;              // of the text read
  size_t held_ = 0;
};

}  // namespace reprise::api

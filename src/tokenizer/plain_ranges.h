// The ranges of a text in which special tokens are not recognised (EncodeOptions::plain), sorted and merged
// so that a match can be checked quickly.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_span.h"

namespace reprise::tokenizer {

class PlainRanges {
 public:
  PlainRanges() = default;
  // `spans` in any order; they may overlap, be empty or reach beyond `size`, the bytes of the text.
  PlainRanges(std::span<const TextSpan> spans, size_t size);
  // The runs of bytes in `flags` that are not zero.
  explicit PlainRanges(std::string_view flags);

  bool empty() const { return spans_.empty(); }
  // True when a byte of [begin, end) is in a range.
  bool overlap(size_t begin, size_t end) const;
  // A byte for each of [begin, end): 1 in a range, else 0.
  std::string flags(size_t begin, size_t end) const;

  // Moves the ranges from offsets in `text`, which may be invalid UTF-8, to offsets in
  // replace_invalid_utf8(text).
  void follow_replacement(std::string_view text);

 private:
  std::vector<TextSpan> spans_;  // ascending, not empty, not touching
};

}  // namespace reprise::tokenizer

#include "tokenizer/plain_ranges.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

PlainRanges::PlainRanges(std::span<const TextSpan> spans, size_t size) {
  std::vector<TextSpan> sorted(spans.begin(), spans.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  for (TextSpan span : sorted) {
    span.end = std::min(span.end, size);
    if (span.begin >= span.end) continue;
    if (!spans_.empty() && span.begin <= spans_.back().end) {
      spans_.back().end = std::max(spans_.back().end, span.end);
    } else {
      spans_.push_back(span);
    }
  }
}

PlainRanges::PlainRanges(std::string_view flags) {
  for (size_t at = 0; at < flags.size(); ++at) {
    if (flags[at] == 0) continue;
    const size_t begin = at;
    while (at < flags.size() && flags[at] != 0) ++at;
    spans_.push_back({begin, at});
  }
}

bool PlainRanges::overlap(size_t begin, size_t end) const {
  // The first range that ends behind `begin` is the only one that can be the first to overlap.
  const auto first = std::partition_point(spans_.begin(), spans_.end(),
                                          [&](const TextSpan& span) { return span.end <= begin; });
  return first != spans_.end() && first->begin < end;
}

std::string PlainRanges::flags(size_t begin, size_t end) const {
  std::string out(end - begin, '\0');
  auto span = std::partition_point(spans_.begin(), spans_.end(),
                                   [&](const TextSpan& one) { return one.end <= begin; });
  for (; span != spans_.end() && span->begin < end; ++span) {
    const size_t from = std::max(span->begin, begin), to = std::min(span->end, end);
    std::fill(out.begin() + (from - begin), out.begin() + (to - begin), '\1');
  }
  return out;
}

void PlainRanges::follow_replacement(std::string_view text) {
  size_t at = 0, moved = 0;
  // Where the character or the invalid part that holds `offset` begins, or ends, in the replaced text.
  const auto follow = [&](size_t offset, bool behind) {
    while (at < offset) {
      const Utf8Step step = classify_utf8(text, at);
      const size_t bytes =
          step.kind == Utf8Step::Kind::kCharacter ? step.length : kReplacementCharacter.size();
      if (at + step.length > offset && !behind) return moved;
      at += step.length;
      moved += bytes;
    }
    return moved;
  };
  for (TextSpan& span : spans_) {
    span.begin = follow(span.begin, false);
    span.end = follow(span.end, true);
  }
}

}  // namespace reprise::tokenizer

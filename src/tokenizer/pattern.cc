#include "tokenizer/pattern.h"

#include <algorithm>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

Pattern Pattern::literal(std::string text, std::string_view what) {
  // The library makes a regular expression of every literal, so an empty one matches everywhere.
  if (text.empty()) return regex("", what);
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Pattern Pattern::regex(const std::string& text, std::string_view what) {
  Pattern pattern;
  pattern.regex_ = std::make_shared<const Regex>(text, what);
  return pattern;
}

Pattern Pattern::character_class(CharacterClass contains) {
  Pattern pattern;
  pattern.class_ = contains;
  return pattern;
}

void Pattern::for_each_match(std::string_view text, FunctionRef<void(size_t, size_t)> visit) const {
  if (class_ != nullptr) {
    for (size_t at = 0; at < text.size();) {
      const Character character = character_at(text, at);
      if (class_(character.code)) visit(at, at + character.length);
      at += character.length;
    }
    return;
  }
  if (regex_ == nullptr) {
    for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at)) {
      visit(at, at + literal_.size());
      at += literal_.size();
    }
    return;
  }
  if (text.empty()) return;
  RegexBudget budget(text.size());
  size_t from = 0;
  size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    const std::optional<Span> match = regex_->find(text, from, budget);
    if (!match) return;
    if (match->begin == match->end && match->end == last_end) {
      from += from < text.size() ? character_at(text, from).length : 1;
      continue;
    }
    from = last_end = match->end;
    visit(match->begin, match->end);
  }
}

std::string Pattern::replace_all(std::string_view text, std::string_view content, size_t limit) const {
  std::string out;
  out.reserve(text.size() + 16);
  size_t copied = 0;
  for_each_match(text, [&](size_t begin, size_t end) {
    out += text.substr(copied, begin - copied);
    out += content;
    copied = end;
    if (out.size() > limit)
      throw Error("[tokenizer] a Replace rule makes a text grow beyond {} bytes", limit);
  });
  out += text.substr(copied);
  return out;
}

namespace {

struct Piece {
  size_t begin;
  size_t end;
  bool is_match;
};

// Matches and what lies between them, covering the text.
std::vector<Piece> cover(std::string_view text, const Pattern& pattern, bool invert) {
  std::vector<Piece> pieces;
  size_t previous = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    if (previous != begin) pieces.push_back({previous, begin, invert});
    pieces.push_back({begin, end, !invert});
    previous = end;
  });
  if (previous != text.size()) pieces.push_back({previous, text.size(), invert});
  return pieces;
}

}  // namespace

void split_text(std::string_view text, const Pattern& pattern, SplitBehavior behavior, bool invert,
                FunctionRef<void(size_t, size_t)> visit) {
  const auto visit_filled = [&](size_t begin, size_t end) {
    if (begin < end) visit(begin, end);
  };
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    // The common cases need no look ahead, and no list.
    const bool keep_matches = behavior == SplitBehavior::kIsolated || invert;
    const bool keep_gaps = behavior == SplitBehavior::kIsolated || !invert;
    size_t previous = 0;
    pattern.for_each_match(text, [&](size_t begin, size_t end) {
      if (keep_gaps) visit_filled(previous, begin);
      if (keep_matches) visit_filled(begin, end);
      previous = end;
    });
    if (keep_gaps) visit_filled(previous, text.size());
    return;
  }
  std::vector<Piece> pieces = cover(text, pattern, invert);
  std::vector<Span> merged;
  bool previous_match = false;
  const auto fold = [&](const Piece& piece, bool joins) {
    if (joins && !merged.empty()) {
      merged.back() = {std::min(merged.back().begin, piece.begin), std::max(merged.back().end, piece.end)};
    } else {
      merged.push_back({piece.begin, piece.end});
    }
    previous_match = piece.is_match;
  };
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece)
      fold(*piece, piece->is_match && !previous_match);
    std::reverse(merged.begin(), merged.end());
  } else if (behavior == SplitBehavior::kMergedWithPrevious) {
    for (const Piece& piece : pieces) fold(piece, piece.is_match && !previous_match);
  } else {
    for (const Piece& piece : pieces) fold(piece, piece.is_match == previous_match);
  }
  for (const Span& span : merged) visit_filled(span.begin, span.end);
}

}  // namespace reprise::tokenizer

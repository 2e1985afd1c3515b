// Text that knows which of its bytes people or tools wrote. Every string operation of a template copies or
// maps pieces of such text, so that the marks reach the rendered conversation; they never change what is
// rendered.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text_span.h"

namespace reprise::tokenizer::jinja {

// Byte ranges: sorted, not empty, not touching each other.
using Marks = std::vector<TextSpan>;

// Adds [begin, end), which must not begin before the last range does.
void add_mark(Marks& marks, size_t begin, size_t end);

// A piece of a text with the marks of the whole. Both must outlive the view.
class MarkedView {
 public:
  MarkedView(std::string_view plain) : text_(plain) {}
  MarkedView(const std::string& plain) : text_(plain) {}
  MarkedView(const char* plain) : text_(plain) {}
  // `marks` belong to the text that `text` begins `offset` bytes into; null when nothing is marked.
  MarkedView(std::string_view text, const Marks* marks, size_t offset = 0)
      : text_(text), marks_(marks), offset_(offset) {}

  std::string_view text() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  // Whether any byte, or the byte at `position`, is marked.
  bool any_marked() const;
  bool marked_at(size_t position) const { return substr(position, 1).any_marked(); }
  MarkedView substr(size_t begin, size_t count = std::string_view::npos) const {
    std::string_view part = text_.substr(begin, count);
    return {part, marks_, offset_ + begin};
  }
  // The part of this view that `piece` is; `piece` must point into text().
  MarkedView part(std::string_view piece) const {
    return {piece, marks_, offset_ + static_cast<size_t>(piece.data() - text_.data())};
  }
  // Calls visit(begin, end) for each marked range, in bytes of this view.
  template <typename Visit>
  void each_mark(Visit visit) const {
    for (size_t i = first_mark(); marks_ && i < marks_->size() && (*marks_)[i].begin < offset_ + size(); ++i)
      visit(std::max((*marks_)[i].begin, offset_) - offset_,
            std::min((*marks_)[i].end, offset_ + size()) - offset_);
  }

 private:
  size_t first_mark() const;  // the first that ends behind the begin of this view

  std::string_view text_;
  const Marks* marks_ = nullptr;
  size_t offset_ = 0;
};

struct MarkedText {
  std::string text;
  Marks marks;

  MarkedText() = default;
  explicit MarkedText(std::string plain) : text(std::move(plain)) {}
  explicit MarkedText(const char* plain) : text(plain) {}
  explicit MarkedText(MarkedView view) { append(view); }
  MarkedView view() const { return {text, marks.empty() ? nullptr : &marks}; }
  void append(MarkedView piece);
  void mark_all() { marks.assign(text.empty() ? 0 : 1, TextSpan{0, text.size()}); }
};

}  // namespace reprise::tokenizer::jinja

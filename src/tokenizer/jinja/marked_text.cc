#include "tokenizer/jinja/marked_text.h"

namespace reprise::tokenizer::jinja {

void add_mark(Marks& marks, size_t begin, size_t end) {
  if (begin >= end) return;
  if (!marks.empty() && marks.back().end >= begin)
    marks.back().end = std::max(marks.back().end, end);
  else
    marks.push_back({begin, end});
}

size_t MarkedView::first_mark() const {
  if (!marks_) return 0;
  auto it = std::upper_bound(marks_->begin(), marks_->end(), offset_,
                             [](size_t offset, const TextSpan& span) { return offset < span.end; });
  return static_cast<size_t>(it - marks_->begin());
}

bool MarkedView::any_marked() const {
  if (!marks_ || empty()) return false;
  size_t i = first_mark();
  return i < marks_->size() && (*marks_)[i].begin < offset_ + size();
}

void MarkedText::append(MarkedView piece) {
  size_t base = text.size();
  piece.each_mark([&](size_t begin, size_t end) { add_mark(marks, base + begin, base + end); });
  text.append(piece.text());
}

}  // namespace reprise::tokenizer::jinja

// A literal text that is looked for in a text which comes in fragments (Knuth, Morris and Pratt, 1977): each
// byte is looked at once, and no more is held back than the longest beginning of the literal that the text so
// far ends with. Matches are those of a search from left to right and do not overlap.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

// Immutable; the caller keeps the state of a scan, which is a number. Literal and fragments are valid UTF-8.
class Literal {
 public:
  explicit Literal(std::string text) : text_(std::move(text)), shorter_(text_.size()) {
    for (size_t at = 1; at < text_.size(); ++at) {
      uint32_t length = shorter_[at - 1];
      while (length > 0 && text_[length] != text_[at]) length = shorter_[length - 1];
      shorter_[at] = length + (text_[length] == text_[at] ? 1 : 0);
    }
  }

  // Calls on_text(text) and on_match() for what is certain behind `held` bytes of the literal and `fragment`;
  // returns how many bytes of the literal are held now. An empty literal matches around each character of the
  // fragment but behind the last one.
  template <typename OnText, typename OnMatch>
  size_t scan(size_t held, std::string_view fragment, OnText on_text, OnMatch on_match) const {
    if (text_.empty()) {
      for (size_t at = 0; at < fragment.size();) {
        const size_t length = character_at(fragment, at).length;
        on_match();
        on_text(fragment.substr(at, length));
        at += length;
      }
      return 0;
    }
    size_t done = 0;  // fragment[0, done) was forwarded or is held
    for (size_t at = 0; at < fragment.size(); ++at) {
      if (held == 0) {
        at = std::min(fragment.find(text_[0], at), fragment.size());
        if (at > done) on_text(fragment.substr(done, at - done));
        done = at;
        if (at == fragment.size()) break;
      }
      while (held > 0 && text_[held] != fragment[at]) {
        const size_t less = shorter_[held - 1];
        on_text(std::string_view(text_).substr(0, held - less));
        held = less;
      }
      if (text_[held] != fragment[at]) continue;  // fragment[at] is forwarded with what follows it
      done = at + 1;
      if (++held == text_.size()) {
        on_match();
        held = 0;
      }
    }
    if (held == 0 && done < fragment.size()) on_text(fragment.substr(done));
    return held;
  }
  std::string_view beginning(size_t length) const { return std::string_view(text_).substr(0, length); }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
  // By length - 1: the longest beginning of the literal that a beginning of this length ends with, but for
  // itself.
  std::vector<uint32_t> shorter_;
};

}  // namespace reprise::tokenizer

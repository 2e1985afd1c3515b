// What Split and Replace look for: a literal text, a regular expression, or a class of characters; and how a
// text is cut around the matches. The semantics are those of `NormalizedString::split` of the tokenizers
// library.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tokenizer/regex.h"

namespace reprise::tokenizer {

// Non-owning callable reference; must outlive the call.
template <typename Signature>
class FunctionRef;
template <typename... Args>
class FunctionRef<void(Args...)> {
 public:
  template <typename F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
      FunctionRef(F&& f)  // NOLINT: implicit by intent
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) {
          (*static_cast<std::remove_reference_t<F>*>(object))(args...);
        }) {}
  void operator()(Args... args) const { call_(object_, args...); }

 private:
  void* object_;
  void (*call_)(void*, Args...);
};

class Pattern {
 public:
  using CharacterClass = bool (*)(char32_t);

  static Pattern literal(std::string text, std::string_view what);
  static Pattern regex(const std::string& pattern, std::string_view what);
  static Pattern character_class(CharacterClass contains);

  // Calls visit(begin, end) for each match, left to right, not overlapping, as Oniguruma's find_iter: an
  // empty match right behind the previous one does not count.
  void for_each_match(std::string_view text, FunctionRef<void(size_t, size_t)> visit) const;

  // Throws Error when the result would have more than `limit` bytes.
  std::string replace_all(std::string_view text, std::string_view content,
                          size_t limit = size_t{1} << 26) const;

  // The text when the pattern is a literal, else empty.
  const std::string& literal_text() const { return literal_; }

 private:
  Pattern() = default;
  std::string literal_;
  std::shared_ptr<const Regex> regex_;
  CharacterClass class_ = nullptr;
};

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

// Calls visit(begin, end) for each piece of the text, in order. `invert`: matches are what lies between the
// matches.
void split_text(std::string_view text, const Pattern& pattern, SplitBehavior behavior, bool invert,
                FunctionRef<void(size_t, size_t)> visit);

}  // namespace reprise::tokenizer

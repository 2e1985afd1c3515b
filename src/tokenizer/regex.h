// Regular expressions of tokenizer.json, run by PCRE2 with its JIT.
//
// The files are written for Oniguruma, whose classes differ from PCRE2's here and there: `\s`, `\w` and `\h`
// are spelled out, scripts are matched by Script and not by Script_Extensions, `\uHHHH` is rewritten, `^` and
// `$` match at line ends; set operations within brackets are refused. Unicode data is PCRE2's own.
//
// A pattern is hostile input: compilation is bounded by PCRE2, matching by limits on backtracking and memory;
// going past one is an Error. Matching is safe from many threads (its scratch memory is thread-local).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace reprise::tokenizer {

struct Span {
  size_t begin;
  size_t end;
};

class Regex {
 public:
  // `what` names the pattern's place in errors. Throws Error for a pattern that is invalid or not supported.
  Regex(const std::string& pattern, std::string_view what);

  // The leftmost match that starts at or after `from`, in bytes. `text` must be valid UTF-8, `from` a
  // boundary in it.
  std::optional<Span> find(std::string_view text, size_t from) const;

 private:
  struct Free {
    void operator()(void* code) const;
  };
  std::unique_ptr<void, Free> code_;  // pcre2_code_8
  std::string what_;
};

// Oniguruma's spelling of a pattern in PCRE2's. Throws Error for what has no spelling there.
std::string translate_pattern(std::string_view pattern, std::string_view what);

}  // namespace reprise::tokenizer

// Regular expressions of tokenizer.json, run by PCRE2 with its JIT.
//
// The files are written for Oniguruma, whose classes differ from PCRE2's here and there: `\s`, `\w` and `\h`
// are spelled out, scripts are matched by Script and not by Script_Extensions, `\uHHHH` is rewritten, `^` and
// `$` match at line ends; set operations within brackets are refused. Unicode data is PCRE2's own.
//
// A pattern may be hostile: PCRE2 bounds its compilation, and a search through a text may backtrack a number
// of steps that grows with the text (RegexBudget); beyond it is an Error. The pre-tokenizers of real models
// need one step for each byte of a long run of blanks. Matching is safe from many threads: its scratch memory
// belongs to the calling thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace reprise::tokenizer {

struct Span {
  size_t begin;
  size_t end;
};

// Backtracking steps (some ten nanoseconds each) that all the matches in one text may take beyond the first
// thousand of each.
struct RegexBudget {
  explicit RegexBudget(size_t text_bytes) : steps(100'000 + 64 * static_cast<uint64_t>(text_bytes)) {}
  uint64_t steps;
};

class Regex {
 public:
  // `what` names the pattern's place in errors. Throws Error for a pattern that is invalid or not supported.
  Regex(const std::string& pattern, std::string_view what);

  // The leftmost match that starts at or after `from`, in bytes. `text` must be valid UTF-8, `from` a
  // boundary in it. `budget` is that of the text. Throws Error when it is used up.
  std::optional<Span> find(std::string_view text, size_t from, RegexBudget& budget) const;

 private:
  // PCRE2's answer; `found` is set when it is not negative.
  int match(std::string_view text, size_t from, uint32_t options, uint32_t steps, Span& found) const;
  int interpret(std::string_view text, size_t from, uint32_t options, Span& found) const;

  struct Free {
    void operator()(void* code) const;
  };
  std::unique_ptr<void, Free> code_;  // pcre2_code_8
  bool has_jit_ = false;
  std::string what_;
};

// Oniguruma's spelling of a pattern in PCRE2's. Throws Error for what has no spelling there.
std::string translate_pattern(std::string_view pattern, std::string_view what);

}  // namespace reprise::tokenizer

// String work that methods of str, filters and the lexer share. `limit` counts splits or replacements;
// negative is unlimited for `replace`, callers of the splits pass INT64_MAX.
#pragma once

#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {

// What is left of `text`. Without `chars`, whitespace is stripped.
std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right);
// `text` stripped, where `chars` is a string or none.
Value stripped(Runtime& runtime, const Value& text, const Value& chars, bool left, bool right);
// The parts, which point into `text`. Without `separator`, runs of whitespace separate and empty parts are
// dropped.
std::vector<std::string_view> split(Runtime& runtime, std::string_view text, const std::string* separator,
                                    int64_t limit);
std::vector<std::string_view> rsplit(Runtime& runtime, std::string_view text, const std::string* separator,
                                     int64_t limit);
std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends);
Value replace(Runtime& runtime, MarkedView text, std::string_view old, MarkedView with, int64_t limit);
// `text` in another case, charged for its work.
Value cased(Runtime& runtime, const Value& text, Case wanted);

}  // namespace reprise::tokenizer::jinja

// Character classes and case mappings with the answers of Python's str. UTF-8 itself and Unicode's categories
// are those of tokenizer/utf8.h and utf8proc; unicode_tables.inc holds what Python adds to the categories
// (written by tools/make_template_unicode.py). Text is valid UTF-8 throughout: the parser and the JSON reader
// have refused anything else. All functions are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/jinja/marked_text.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer::jinja {

// The code point at `position`, which moves past it.
inline char32_t decode_point(std::string_view text, size_t& position) {
  Character character = character_at(text, position);
  position += static_cast<size_t>(character.length);
  return character.code;
}
size_t count_points(std::string_view text);
// Byte offset of code point `index` (at most the length).
size_t byte_offset(std::string_view text, size_t index);

// First or last occurrence in linear time; npos when absent.
size_t find_text(std::string_view text, std::string_view pattern, size_t from = 0);
size_t rfind_text(std::string_view text, std::string_view pattern);

// str.isspace, isalpha and so on, of one character. (Python's white space is not Unicode's: it has
// U+001C..1F.)
bool is_space(char32_t point);
bool is_line_break(char32_t point);  // of str.splitlines
bool is_alpha(char32_t point);
bool is_digit(char32_t point);
bool is_numeric_point(char32_t point);
bool is_alnum(char32_t point);
bool is_lower(char32_t point);
bool is_upper(char32_t point);
bool is_printable(char32_t point);  // what repr() leaves as it is

// str.islower and str.isupper: some letter is, and none is of another case.
bool is_lower_text(std::string_view text);
bool is_upper_text(std::string_view text);

enum class Case : uint8_t { kUpper, kLower, kTitle, kCapitalized };
// str.upper, lower, title and capitalize. A marked character marks all that it becomes.
MarkedText change_case(MarkedView text, Case wanted);

}  // namespace reprise::tokenizer::jinja

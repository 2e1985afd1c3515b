// Code points, character classes and case mappings with the answers of Python's str. Text is valid UTF-8
// throughout; the parser and the JSON reader have refused anything else. Categories come from utf8proc;
// unicode_tables.inc holds what Python adds to them (written by tools/make_template_unicode.py).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tokenizer/template/marked_text.h"

namespace reprise::tokenizer::jinja {

bool valid_utf8(std::string_view text);
// The code point at `position`, which moves past it.
char32_t decode_point(std::string_view text, size_t& position);
// Writes 1 to 4 bytes, gives their number.
size_t encode_point(char32_t point, char* bytes);
void append_point(std::string& text, char32_t point);
size_t count_points(std::string_view text);
// Byte offset of code point `index` (at most the length).
size_t byte_offset(std::string_view text, size_t index);
std::u32string to_points(std::string_view text);
std::string to_utf8(std::u32string_view points);

// First or last occurrence in linear time; npos when absent.
size_t find_text(std::string_view text, std::string_view pattern, size_t from = 0);
size_t rfind_text(std::string_view text, std::string_view pattern);

bool is_space(char32_t point);
bool is_line_break(char32_t point);
bool is_alpha(char32_t point);
bool is_decimal(char32_t point);
bool is_digit(char32_t point);
bool is_numeric(char32_t point);
bool is_alnum(char32_t point);
bool is_lower(char32_t point);
bool is_upper(char32_t point);
bool is_titlecase(char32_t point);
bool is_cased(char32_t point);
bool is_printable(char32_t point);
bool is_identifier_start(char32_t point);
bool is_identifier_part(char32_t point);

enum class Case : uint8_t { kUpper, kLower, kTitle, kCapitalized, kSwapped, kFolded };
// str.upper, lower, title, capitalize, swapcase and casefold. A marked character marks all that it becomes.
MarkedText change_case(MarkedView text, Case wanted);

}  // namespace reprise::tokenizer::jinja

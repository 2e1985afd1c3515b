// UTF-8 and character classes for the tokenizer.
//
// Invalid UTF-8 is replaced once, before anything else: `replace_invalid_utf8` turns each maximal invalid
// subpart into U+FFFD, the policy of Unicode chapter 3.9, of Python's errors="replace" and of Rust's
// from_utf8_lossy. All other functions need valid UTF-8, but classify_utf8 and is_valid_utf8. All functions
// are pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reprise::tokenizer {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// What the bytes at some place of a text are.
struct Utf8Step {
  enum class Kind { kCharacter, kInvalid, kIncomplete };
  Kind kind;
  int length;  // bytes of the character, of the invalid subpart, or of the incomplete tail; at least 1
};

// Classifies bytes[at..]; kIncomplete: the bytes end inside a character that is well-formed so far.
Utf8Step classify_utf8(std::string_view bytes, size_t at);

bool is_valid_utf8(std::string_view bytes);

// Valid text comes back as it is; each maximal invalid subpart becomes U+FFFD.
std::string replace_invalid_utf8(std::string_view bytes);

// The character at text[at], which must be the first byte of one, in valid UTF-8.
struct Character {
  char32_t code;
  int length;  // bytes, 1..4
};
Character character_at(std::string_view text, size_t at);

// The last character of a valid text that is not empty.
Character last_character(std::string_view text);

void append_utf8(std::string& out, char32_t code);

// Classes as Rust's std and its regex crate define them, which the `tokenizers` library uses beside
// Oniguruma.
bool is_whitespace(char32_t code);  // White_Space
bool is_word(char32_t code);     // \w: Alphabetic, Mark, Decimal_Number, Connector_Punctuation, Join_Control
bool is_numeric(char32_t code);  // Nd, Nl, No
bool is_punctuation(char32_t code);     // ASCII punctuation (symbols included) and P*
bool is_combining_mark(char32_t code);  // M*

}  // namespace reprise::tokenizer

// GPT-2's printable alphabet for bytes: printable Latin-1 bytes stand for themselves, the other 68 are moved
// to U+0100 and up, so that any bytes are a text without blanks or controls. Source: bytes_to_unicode of
// GPT-2's encoder.py.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace reprise::tokenizer {

// The character that stands for a byte, as UTF-8 (1 or 2 bytes).
std::string_view byte_level_character(unsigned char byte);

// Bytes as text of the alphabet.
std::string to_byte_level(std::string_view bytes);

// The bytes that a text of the alphabet stands for; nothing when one character is outside of the alphabet.
std::optional<std::string> from_byte_level(std::string_view text);

}  // namespace reprise::tokenizer

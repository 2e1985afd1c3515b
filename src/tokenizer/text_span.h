// A range of bytes of a text. Chat templates say with these which parts of a rendered conversation are what
// people or tools wrote, and the tokenizer encodes such parts without special tokens.
#pragma once

#include <cstddef>

namespace reprise::tokenizer {

struct TextSpan {
  size_t begin = 0;  // byte offset of the first byte
  size_t end = 0;    // one past the last byte; begin <= end
};

}  // namespace reprise::tokenizer

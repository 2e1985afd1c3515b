// How Tokenizer::encode treats one text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"
#include "tokenizer/text_span.h"

namespace reprise::tokenizer {

struct EncodeOptions {
  // Adds what the model puts around a text (its beginning-of-text token, say).
  bool add_special_tokens = true;
  // Ranges of the text in which special tokens are not recognised: "<|im_end|>" becomes the ids of those ten
  // characters. A match that overlaps such a range anywhere is no special token. Added tokens that are not
  // special are recognised everywhere. Otherwise the ranges change nothing: the words of the text are cut
  // without regard to them. In any order; ends beyond the text count as its end.
  std::span<const TextSpan> plain = {};
  // Most ids that may come out, those of `add_special_tokens` included. Encoding stops with TooManyTokens as
  // soon as there are more.
  size_t max_tokens = SIZE_MAX;
};

// The text has more tokens than the caller allows. How many it has is not known: the rest was not encoded.
class TooManyTokens : public Error {
 public:
  explicit TooManyTokens(size_t most)
      : Error("[tokenizer] the text has more than {} tokens; shorten it or allow more", most) {}
};

}  // namespace reprise::tokenizer

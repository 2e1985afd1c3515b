// Normalizers: what tokenizer.json does to a text before it is cut into words.
//
// A normalizer changes a text in place. It also keeps track of whether the first character comes from the
// first character of the whole input, which Metaspace needs (prepend_scheme "first").
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace reprise::tokenizer {

struct NormalizedText {
  std::string text;       // valid UTF-8
  bool at_start = false;  // the first character belongs to the start of the input
  // Most bytes that the text may grow to: rules of a hostile file could multiply it step by step. Error
  // beyond.
  size_t limit = size_t{1} << 30;
  // Empty, or a byte for each byte of `text`: not zero where it stems from a range in which special tokens
  // are not recognised (EncodeOptions::plain). A character made of several is flagged when one of them was.
  std::string plain = {};
};

// Immutable, safe for many threads.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void normalize(NormalizedText& text) const = 0;
  // Most bytes of a text that one byte of the result can stand for; 0: no bound (rules that remove text).
  virtual size_t most_shrink() const { return 0; }
};
using NormalizerPtr = std::unique_ptr<const Normalizer>;

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

NormalizerPtr make_unicode_normalizer(UnicodeForm form);
NormalizerPtr make_lowercase_normalizer();
NormalizerPtr make_strip_normalizer(bool left, bool right);
NormalizerPtr make_strip_accents_normalizer();
NormalizerPtr make_nmt_normalizer();
NormalizerPtr make_byte_level_normalizer();
NormalizerPtr make_replace_normalizer(Pattern pattern, std::string content);
NormalizerPtr make_prepend_normalizer(std::string prefix);
// SentencePiece's compiled character map (see precompiled.cc). Throws Error when `charsmap` is malformed.
NormalizerPtr make_precompiled_normalizer(std::string charsmap, std::string_view what);
NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> steps);

// Throws Error on a character outside of the base64 alphabet or a length that no encoder writes.
std::string decode_base64(std::string_view text, std::string_view what);

}  // namespace reprise::tokenizer

// Streaming decoder: takes token ids one at a time and returns the text that is final after each. Never part
// of a character.
//
// All the returned text together equals Tokenizer::decode of all ids, but for byte tokens (<0xE2>, <0x82>,
// ...: vocabularies with byte fallback) that are not valid UTF-8. There decode() does as the tokenizers
// library: one bad byte turns every byte of its run (byte tokens in a row; ids that are left out do not end
// it) into a U+FFFD, which is known at the end of the run only. Here each character comes with its last byte;
// a byte that cannot be part of a character is one U+FFFD as soon as that is known, and so is each byte of a
// character that is unfinished when another token follows or at flush().
//
// Belongs to one thread at a time; the tokenizer must outlive it.
#pragma once

#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {

enum class DecodeMode;

class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  StreamingDecoder(StreamingDecoder&&) noexcept;
  StreamingDecoder& operator=(StreamingDecoder&&) noexcept;
  ~StreamingDecoder();

  // The text that is final after this id, often empty. An id that no token has adds nothing, nor does a
  // special token that is left out. Throws Error for a negative id.
  std::string push(int32_t id);
  // The rest of the text; the bytes of an unfinished character are U+FFFD. Afterwards a new text begins.
  std::string flush();

 private:
  friend class Tokenizer;
  struct State;
  StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens, DecodeMode mode);

  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  DecodeMode mode_;
  std::unique_ptr<State> state_;
};

}  // namespace reprise::tokenizer

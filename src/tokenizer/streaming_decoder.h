// Streaming decoder: ids go in one at a time, and the text that can no longer change comes out. Never half a
// character; all that came out, put together, equals Tokenizer::decode of all ids.
//
// Belongs to one thread at a time; the tokenizer must outlive it.
#pragma once

#include <memory>
#include <string>

#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {

class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  StreamingDecoder(StreamingDecoder&&) noexcept;
  StreamingDecoder& operator=(StreamingDecoder&&) noexcept;
  ~StreamingDecoder();

  // The text that this id settles, often empty. Throws Error for a negative id.
  std::string push(int32_t id);
  // The rest; a character that never became whole is U+FFFD. Afterwards the decoder starts a new text.
  std::string flush();

 private:
  struct State;
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::unique_ptr<State> state_;
};

}  // namespace reprise::tokenizer

// Decoders: from token texts back to text, as tokenizer.json's "decoder" says.
//
// Each decoder is written as a stream: a state is fed with tokens, in fragments, and forwards text that later
// tokens cannot alter. Decoding a whole list is feeding a stream and finishing it, so streamed text equals decoded
// text by construction. What a stage must hold back: ByteLevel an unfinished character; ByteFallback a run of
// byte tokens (one bad byte turns the whole run into U+FFFD); Replace with a long or regular pattern a whole
// token; Strip the blanks it may cut.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace reprise::tokenizer {

// Where decoded tokens go: fragments of a token's text, then its end.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  virtual void text(std::string_view fragment) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0;  // no more tokens; called once
};
using TokenStreamPtr = std::unique_ptr<TokenStream>;

// Immutable, safe for many threads; the streams it makes belong to one thread each and refer to the decoder.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual TokenStreamPtr start(TokenStream& next) const = 0;
  // The bytes that a token stands for within a text: used for token_bytes, where no neighbour is known.
  virtual void token_bytes(std::string& token) const { static_cast<void>(token); }
};
using DecoderPtr = std::unique_ptr<const Decoder>;

DecoderPtr make_byte_level_decoder();
DecoderPtr make_byte_fallback_decoder();
DecoderPtr make_metaspace_decoder(std::string replacement, bool drops_first);
DecoderPtr make_replace_decoder(Pattern pattern, std::string content);
DecoderPtr make_strip_decoder(char32_t content, size_t start, size_t stop);
DecoderPtr make_fuse_decoder();
DecoderPtr make_bpe_decoder(std::string suffix);
// Without a decoder the library joins tokens with a space.
DecoderPtr make_join_decoder();

}  // namespace reprise::tokenizer

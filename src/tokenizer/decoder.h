// Decoders: from token texts back to text, as tokenizer.json's "decoder" says.
//
// Each decoder is written as a stream: it is fed with tokens, in fragments of whole characters, and forwards
// text as soon as later tokens cannot alter it. Decoding a whole list is feeding a stream and finishing it.
// What a stage holds back:
//   ByteLevel     the bytes of an unfinished character; and a token that comes in fragments (behind
//                 ByteFallback or Fuse) until a character shows that it is not made of byte characters
//   ByteFallback  the bytes of an unfinished character; in DecodeMode::whole a run of byte tokens
//   Replace       the beginning of its text; with a regular expression a whole token, which behind Fuse is all
//                 of the text
//   Strip         trailing copies of its character that it may cut
//   BPEDecoder    a token from its suffix on, since the suffix of the last token is no space
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace reprise::tokenizer {

// What becomes of a run of byte tokens (<0xE2>, ...) that is not valid UTF-8.
enum class DecodeMode {
  // As the tokenizers library: one bad byte turns every byte of the run into a U+FFFD. The run is held back
  // until its end is known.
  whole,
  // Each character is forwarded with its last byte. A byte that cannot be part of a character is one U+FFFD,
  // as soon as that is known; so is each byte of a character that is unfinished where the run ends.
  streaming,
};

// Where decoded tokens go: fragments of a token's text (valid UTF-8), then its end.
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
  virtual TokenStreamPtr start(TokenStream& next, DecodeMode mode) const = 0;
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

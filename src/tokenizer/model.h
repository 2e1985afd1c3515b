// A model turns one piece of text into token ids. Three kinds: BPE, SentencePiece's score-driven BPE as GGUF
// files carry it, and Unigram. Immutable, safe for many threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/vocab.h"

namespace reprise::tokenizer {

class Model {
 public:
  virtual ~Model() = default;
  virtual const Vocab& vocab() const = 0;
  // Appends the ids of a piece, which is not empty and valid UTF-8. Throws Error when it has no ids
  // (a character that is not in the vocabulary of a Unigram without an unknown token).
  virtual void encode(std::string_view piece, std::vector<int32_t>& out) const = 0;
  // Where a piece may be cut without changing its ids: in front of each `text` that follows something else.
  // Empty: nowhere. Cutting makes long pieces cheap and lets the word cache see words.
  virtual std::string_view safe_cut() const { return {}; }
  // Most bytes of a piece that one id can stand for; 0: no bound, where unknown text is left out or fused.
  virtual size_t most_bytes_of_an_id() const { return 0; }
};
using ModelPtr = std::unique_ptr<const Model>;

// True when no token joins another character to a following U+2581 (SentencePiece's blank): then no merge
// crosses the front of a word.
bool words_start_at_metaspace(const Vocab& vocab);

inline constexpr std::string_view kMetaspace = "\xE2\x96\x81";  // U+2581

// The text of the token that stands for a single byte under byte fallback: "<0x0A>".
void byte_token_text(unsigned char byte, char (&out)[7]);

}  // namespace reprise::tokenizer

// What a Tokenizer holds; shared with the streaming decoder, private to this folder.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/word_cache.h"

namespace reprise::tokenizer {

struct Tokenizer::Impl {
  explicit Impl(TokenizerParts parts);

  // One call of encode.
  struct Run {
    std::string_view text;
    PlainRanges plain;
    WordCache& cache;
    size_t most_ids;
    size_t max_tokens;      // as the caller gave it, for the error
    bool in_plain = false;  // the current section overlaps a plain range
    std::vector<int32_t> ids = {};
    void push(int32_t id);  // throws TooManyTokens
    void check() const;
  };
  // text[begin, end), which holds no token that is looked for in the raw text.
  void encode_section(size_t begin, size_t end, Run& run) const;
  void encode_piece(std::string_view piece, Run& run) const;
  void encode_word(std::string_view word, Run& run) const;
  // A word of a section with plain ranges: where the model itself knows special tokens by their text (as a
  // Unigram or a GGUF vocabulary does), its characters are encoded one by one instead.
  void encode_plain_word(std::string_view word, Run& run) const;
  bool holds_special(std::string_view word, std::span<const int32_t> ids) const;
  size_t bytes_of_an_id() const;
  std::optional<int32_t> role_id(std::string_view role) const;

  uint64_t instance;  // names this tokenizer's word caches
  NormalizerPtr normalizer;
  std::vector<PreTokenizerPtr> pre_tokenizers;
  ModelPtr model;
  AddedTokens added;
  std::vector<int32_t> frame;
  std::vector<DecoderPtr> decoders;
  std::vector<int32_t> end_ids;
  TokenizerConfig config;
  int32_t size = 0;
  size_t most_bytes_of_an_id = 0;       // of a text; 0: no bound
  std::vector<bool> specials_of_model;  // by id; empty when the model's vocabulary has none
};

}  // namespace reprise::tokenizer

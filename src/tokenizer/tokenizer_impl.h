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

  void encode_section(std::string_view section, bool at_start, WordCache& cache,
                      std::vector<int32_t>& ids) const;
  void encode_piece(std::string_view piece, WordCache& cache, std::vector<int32_t>& ids) const;
  void encode_word(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const;
  std::optional<int32_t> role_id(std::string_view role) const;

  uint64_t instance;  // names this tokenizer's word caches
  NormalizerPtr normalizer;
  std::vector<PreTokenizerPtr> pre_tokenizers;
  ModelPtr model;
  AddedTokens added;
  std::vector<int32_t> frame;
  std::vector<DecoderPtr> decoders;
  TokenizerConfig config;
  int32_t size = 0;
};

}  // namespace reprise::tokenizer

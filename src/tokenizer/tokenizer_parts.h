// The parts of a tokenizer, filled in from tokenizer.json or from GGUF metadata.
#pragma once

#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/tokenizer_config.h"

namespace reprise::tokenizer {

// In a list of ids: placeholder, replaced by the ids of the encoded text.
inline constexpr int32_t kTextPlace = -1;

struct TokenizerParts {
  NormalizerPtr normalizer;  // may be null
  std::vector<PreTokenizerPtr> pre_tokenizers;
  ModelPtr model;
  std::vector<AddedToken> added_tokens;  // with the vocabulary, ids without a hole
  // What encode answers with special tokens: their ids around kTextPlace.
  std::vector<int32_t> frame = {kTextPlace};
  std::vector<DecoderPtr> decoders;
  std::vector<int32_t> end_ids;  // ends of a turn that the file names besides the role "eos_token"
  TokenizerConfig config;
};

// A vocabulary of the texts by id. Throws Error when a text occurs twice.
Vocab make_unique_vocab(const std::vector<std::string>& tokens, std::string_view what);

// Reads a tokenizer.json. `what` names it in errors. Throws Error for malformed or unsupported content.
TokenizerParts parse_tokenizer_json(std::string_view text, std::string_view what, TokenizerConfig config);

}  // namespace reprise::tokenizer

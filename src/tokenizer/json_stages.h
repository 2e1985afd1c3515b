// The stages of tokenizer.json: its "normalizer", "pre_tokenizer", "post_processor" and "decoder" sections.
// Each function throws Error, which names the value, for what is not supported or not right.
#pragma once

#include <functional>
#include <vector>

#include "core/json_fields.h"
#include "tokenizer/tokenizer_parts.h"

namespace reprise::tokenizer {

// A hostile file could chain any number of steps, and they call one another.
inline constexpr size_t kMostSteps = 64;

NormalizerPtr parse_normalizer(const JsonValue& node);

struct PreTokenizerChain {
  std::vector<PreTokenizerPtr> steps;
  bool ends_in_byte_level = false;  // the last step maps to the byte-level alphabet
};
PreTokenizerChain parse_pre_tokenizer(const JsonValue& node);

// Ids around kTextPlace.
std::vector<int32_t> parse_post_processor(const JsonValue& node);

std::vector<DecoderPtr> parse_decoder(const JsonValue& node);

}  // namespace reprise::tokenizer

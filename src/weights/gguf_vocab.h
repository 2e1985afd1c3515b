// The tokenizer that a GGUF file carries, as plain data: tokenizer/ builds the tokenizer from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weights/gguf.h"

namespace reprise::weights {

// Numbers of tokenizer.ggml.token_type.
enum class GgufTokenType : int8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct GgufVocab {
  std::string model;                 // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), ...
  std::string pre;                   // "smollm", "qwen2", "llama-bpe", "default"; empty when absent
  std::vector<std::string> tokens;   // by id
  std::vector<float> scores;         // by id, or empty
  std::vector<GgufTokenType> types;  // by id, or empty
  std::vector<std::string> merges;   // "left right", best first; empty for SentencePiece
  std::optional<int64_t> bos_id, eos_id, eot_id, unk_id, pad_id;  // inside the vocabulary
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;  // empty when absent
};

// Throws Error when the tokenizer is missing or its lists have different lengths, an unknown type or an id
// outside them.
GgufVocab read_gguf_vocab(const GgufMetadata& metadata);

}  // namespace reprise::weights

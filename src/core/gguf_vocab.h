// The vocabulary that a GGUF file carries ("tokenizer.ggml.*" of its metadata), as plain data. weights/ reads
// it from the file and tokenizer/ builds a tokenizer from it; the two folders cannot include each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace reprise {

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
  // tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE by scores), "t5" (Unigram).
  std::string model;
  // tokenizer.ggml.pre: how a text is cut into words, for "gpt2" (docs/tokenizers.md lists the names); empty
  // when absent.
  std::string pre;
  std::vector<std::string> tokens;   // by id
  std::vector<float> scores;         // by id, or empty; needed for llama and t5
  std::vector<GgufTokenType> types;  // by id, or empty
  std::vector<std::string> merges;   // "left right", best first; needed for gpt2
  // eot: end of turn, eom: end of message. Inside the vocabulary.
  std::optional<int32_t> bos_id, eos_id, eot_id, eom_id, unk_id, pad_id;
  // Where they are absent the model's kind decides, as in llama.cpp.
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::string precompiled_charsmap;  // bytes, for t5; empty when absent
  // Name and text: tokenizer.chat_template is "default", tokenizer.chat_template.NAME is NAME.
  std::vector<std::pair<std::string, std::string>> chat_templates;
};

}  // namespace reprise

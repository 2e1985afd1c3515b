// The tokenizer's part of a GGUF file's metadata ("tokenizer.ggml.*"), as plain data: whoever reads the file
// fills it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace reprise::tokenizer {

struct GgufVocab {
  // tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SentencePiece BPE by scores), "t5" (Unigram).
  std::string model;
  // tokenizer.ggml.pre, for "gpt2": default (or empty), gpt-2, smollm, qwen2, llama-bpe (also llama3,
  // llama-v3).
  std::string pre;
  std::vector<std::string> tokens;   // by id
  std::vector<float> scores;         // by id; needed for llama and t5
  std::vector<int32_t> token_types;  // by id, or empty; kinds below
  std::vector<std::string> merges;   // "left right", by rank; needed for gpt2
  std::optional<int32_t> bos_id, eos_id, unk_id, pad_id;
  // Where they are absent the model's kind decides, as llama.cpp does.
  std::optional<bool> add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
  std::string precompiled_charsmap;  // bytes; for t5
  std::string chat_template;

  enum TokenType : int32_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6,
  };
};

}  // namespace reprise::tokenizer

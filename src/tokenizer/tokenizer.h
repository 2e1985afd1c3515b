// Tokenizer: text to token ids and back, equal to the `tokenizers` library on the same tokenizer.json.
//
// Immutable once loaded and safe for concurrent use by many threads: scratch memory and the word cache belong
// to the calling thread, and no lock is taken. `truncation` and `padding` of a file are ignored (a request
// decides those).
#pragma once

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/gguf_vocab.h"
#include "tokenizer/encode_options.h"
#include "tokenizer/tokenizer_config.h"

namespace reprise::tokenizer {

struct TokenizerParts;

class Tokenizer {
 public:
  // Reads tokenizer.json and the files beside it in a model's folder (tokenizer_config.h). Throws Error.
  static Tokenizer load(const std::filesystem::path& directory);
  // From the text of a tokenizer.json; `what` names it in errors.
  static Tokenizer from_json(std::string_view tokenizer_json, std::string_view what,
                             TokenizerConfig config = {});
  // From the metadata of a GGUF file.
  static Tokenizer from_gguf(const GgufVocab& vocab);

  explicit Tokenizer(TokenizerParts parts);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Invalid UTF-8 counts as U+FFFD, one for each maximal invalid subpart. Special tokens written in the text
  // become their ids, but for the ranges `options.plain`. Throws TooManyTokens beyond `options.max_tokens`,
  // Error where the tokenizer's own rules fail on the text.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // A template, so that encode(text, {}) means EncodeOptions.
  template <std::same_as<bool> Bool>
  std::vector<int32_t> encode(std::string_view text, Bool add_special_tokens) const {
    return encode(text, EncodeOptions{.add_special_tokens = add_special_tokens});
  }

  // Valid UTF-8, whatever the ids; ids that no token has are left out. Throws Error for a negative id.
  // Streamed text differs where byte tokens are not valid UTF-8 (streaming_decoder.h).
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = true) const;

  // One above the largest id, added tokens included.
  int32_t vocab_size() const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  // The text as the vocabulary writes it ("Ġthe"); nothing for ids that no token has.
  std::optional<std::string_view> id_to_token(int32_t id) const;
  // The bytes that the token adds to a text (" the"), not always valid UTF-8; empty for ids that no token
  // has.
  std::string token_bytes(int32_t id) const;

  bool is_special(int32_t id) const;
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> unk_id() const;
  std::optional<int32_t> pad_id() const;
  // Tokens with which a model ends its turn, ascending: the tokenizer's own end (eos_token, and what a GGUF
  // file names beside it), and added tokens that end a turn by their text ("<|im_end|>"). Other files of a
  // model may name more.
  std::vector<int32_t> end_of_turn_ids() const;

  // Special tokens by role, and the chat templates.
  const TokenizerConfig& config() const;

 private:
  friend class StreamingDecoder;
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace reprise::tokenizer

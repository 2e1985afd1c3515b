#include "weights/gguf_vocab.h"

#include "core/error.h"

namespace reprise::weights {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";

std::optional<int32_t> token_id(const GgufMetadata& metadata, std::string_view key, size_t tokens) {
  const auto id = metadata.integer(key);
  // Writers put all bits set where there is no such token.
  if (!id || *id < 0 || *id == 0xffffffff) return std::nullopt;
  if (static_cast<uint64_t>(*id) >= tokens)
    throw Error("{}: '{}' is {}, outside the {} tokens; the file is damaged", metadata.what(), key, *id,
                tokens);
  return static_cast<int32_t>(*id);
}

void check_length(const GgufMetadata& metadata, std::string_view key, size_t length, size_t tokens) {
  if (length != tokens)
    throw Error("{}: '{}' has {} entries for {} tokens; the file is damaged", metadata.what(), key, length,
                tokens);
}

// tokenizer.chat_template, and tokenizer.chat_template.NAME for the others that a model has.
void read_chat_templates(const GgufMetadata& metadata, GgufVocab& vocab) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  const auto& values = metadata.values();
  for (auto entry = values.lower_bound(kKey); entry != values.end() && entry->first.starts_with(kKey);
       ++entry) {
    const std::string_view name = std::string_view(entry->first).substr(kKey.size());
    if (entry->second.type != GgufType::string) continue;
    const std::string_view text = metadata.string(entry->first).value_or("");
    if (name.empty() && !text.empty()) vocab.chat_templates.emplace_back("default", text);
    if (name.size() > 1 && name.front() == '.') vocab.chat_templates.emplace_back(name.substr(1), text);
  }
}

void read_charsmap(const GgufMetadata& metadata, GgufVocab& vocab) {
  const auto& values = metadata.values();
  const auto entry = values.find("tokenizer.ggml.precompiled_charsmap");
  if (entry == values.end()) return;
  const GgufValue& value = entry->second;
  if (value.type != GgufType::array || (value.element != GgufType::u8 && value.element != GgufType::i8))
    throw Error("{}: '{}' is not a list of bytes", metadata.what(), entry->first);
  vocab.precompiled_charsmap.assign(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
}

}  // namespace

GgufVocab read_gguf_vocab(const GgufMetadata& metadata) {
  GgufVocab vocab;
  const auto model = metadata.string("tokenizer.ggml.model");
  const auto tokens = metadata.strings(kTokens);
  if (!model || !tokens || tokens->empty())
    throw Error("{}: no tokenizer ('tokenizer.ggml.model' and '{}'); convert the model with its tokenizer",
                metadata.what(), kTokens);
  vocab.model = *model;
  vocab.pre = metadata.string("tokenizer.ggml.pre").value_or("");
  vocab.tokens.assign(tokens->begin(), tokens->end());
  const size_t count = vocab.tokens.size();
  if (auto scores = metadata.floats("tokenizer.ggml.scores")) {
    check_length(metadata, "tokenizer.ggml.scores", scores->size(), count);
    vocab.scores = std::move(*scores);
  }
  if (const auto types = metadata.integers("tokenizer.ggml.token_type")) {
    check_length(metadata, "tokenizer.ggml.token_type", types->size(), count);
    vocab.types.reserve(count);
    for (int64_t type : *types) {
      if (type < 0 || type > 6)
        throw Error("{}: 'tokenizer.ggml.token_type' holds {}, expected 1 to 6", metadata.what(), type);
      // 0, "undefined", is what some converters write for ordinary tokens.
      vocab.types.push_back(type == 0 ? GgufTokenType::normal : static_cast<GgufTokenType>(type));
    }
  }
  if (const auto merges = metadata.strings("tokenizer.ggml.merges"))
    vocab.merges.assign(merges->begin(), merges->end());
  vocab.bos_id = token_id(metadata, "tokenizer.ggml.bos_token_id", count);
  vocab.eos_id = token_id(metadata, "tokenizer.ggml.eos_token_id", count);
  vocab.eot_id = token_id(metadata, "tokenizer.ggml.eot_token_id", count);
  vocab.eom_id = token_id(metadata, "tokenizer.ggml.eom_token_id", count);
  vocab.unk_id = token_id(metadata, "tokenizer.ggml.unknown_token_id", count);
  vocab.pad_id = token_id(metadata, "tokenizer.ggml.padding_token_id", count);
  vocab.add_bos = metadata.boolean("tokenizer.ggml.add_bos_token");
  vocab.add_eos = metadata.boolean("tokenizer.ggml.add_eos_token");
  vocab.add_space_prefix = metadata.boolean("tokenizer.ggml.add_space_prefix");
  vocab.remove_extra_whitespaces = metadata.boolean("tokenizer.ggml.remove_extra_whitespaces");
  read_charsmap(metadata, vocab);
  read_chat_templates(metadata, vocab);
  return vocab;
}

}  // namespace reprise::weights

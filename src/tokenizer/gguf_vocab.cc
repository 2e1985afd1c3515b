// A tokenizer from GGUF metadata. The metadata names a kind and a `pre` instead of stages; the stages that
// they mean are llama.cpp's, except that qwen2 composes characters (NFC) as its makers' tokenizer.json does.
#include <cmath>

#include "core/error.h"
#include "core/gguf_vocab.h"
#include "tokenizer/bpe.h"
#include "tokenizer/gguf_pre.h"
#include "tokenizer/score_bpe.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/unigram.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

constexpr std::string_view kWhere = "GGUF tokenizer";

void check(const GgufVocab& vocab) {
  const size_t count = vocab.tokens.size();
  if (count == 0) throw Error("[{}] the list of tokens is empty", kWhere);
  if (!vocab.scores.empty() && vocab.scores.size() != count) {
    throw Error("[{}] {} scores for {} tokens", kWhere, vocab.scores.size(), count);
  }
  if (!vocab.types.empty() && vocab.types.size() != count) {
    throw Error("[{}] {} token types for {} tokens", kWhere, vocab.types.size(), count);
  }
  for (size_t id = 0; id < vocab.scores.size(); ++id) {
    if (!std::isfinite(vocab.scores[id]))
      throw Error("[{}] the score of token {} is not a number", kWhere, id);
  }
  for (const auto& id :
       {vocab.bos_id, vocab.eos_id, vocab.eot_id, vocab.eom_id, vocab.unk_id, vocab.pad_id}) {
    if (id && (*id < 0 || static_cast<size_t>(*id) >= count)) {
      throw Error("[{}] special token {} of a vocabulary of {}", kWhere, *id, count);
    }
  }
}

void need_scores(const GgufVocab& vocab) {
  if (vocab.scores.empty()) throw Error("[{}] model \"{}\" needs tokenizer.ggml.scores", kWhere, vocab.model);
}

void build_byte_level(const GgufVocab& vocab, Vocab tokens, TokenizerParts& parts) {
  BpeOptions options;
  options.byte_level = true;
  const GgufPre& pre = find_gguf_pre(vocab.pre);
  options.ignore_merges = pre.ignore_merges;
  if (pre.nfc) parts.normalizer = make_unicode_normalizer(UnicodeForm::kNfc);
  for (const char* pattern : pre.patterns) {
    parts.pre_tokenizers.push_back(
        make_split(Pattern::regex(pattern, kWhere), SplitBehavior::kIsolated, false));
  }
  std::vector<Bpe::Merge> merges;
  merges.reserve(vocab.merges.size());
  for (const std::string& line : vocab.merges) {
    const size_t space = line.find(' ', 1);  // llama.cpp: a token may begin with the blank
    if (space == std::string::npos) {
      throw Error("[{}] merge {} is \"{}\", expected two tokens and one space", kWhere, merges.size(), line);
    }
    merges.emplace_back(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1));
  }
  parts.model = std::make_unique<Bpe>(std::move(tokens), merges, options, kWhere);
  parts.decoders.push_back(make_byte_level_decoder());
}

void build_sentencepiece(const GgufVocab& vocab, Vocab tokens, TokenizerParts& parts) {
  need_scores(vocab);
  const bool prefix = vocab.add_space_prefix.value_or(true);
  std::vector<NormalizerPtr> steps;
  if (prefix) steps.push_back(make_prepend_normalizer(std::string(kMetaspace)));
  steps.push_back(make_replace_normalizer(Pattern::literal(" ", kWhere), std::string(kMetaspace)));
  parts.normalizer = make_normalizer_sequence(std::move(steps));
  const int32_t unk = vocab.unk_id.value_or(0);
  parts.model = std::make_unique<ScoreBpe>(std::move(tokens), vocab.scores, unk);
  parts.decoders.push_back(make_replace_decoder(Pattern::literal(std::string(kMetaspace), kWhere), " "));
  parts.decoders.push_back(make_byte_fallback_decoder());
  parts.decoders.push_back(make_fuse_decoder());
  if (prefix) parts.decoders.push_back(make_strip_decoder(U' ', 1, 0));
}

void build_unigram(const GgufVocab& vocab, Vocab tokens, TokenizerParts& parts) {
  need_scores(vocab);
  std::vector<NormalizerPtr> steps;
  if (!vocab.precompiled_charsmap.empty()) {
    steps.push_back(make_precompiled_normalizer(vocab.precompiled_charsmap, kWhere));
  }
  if (vocab.remove_extra_whitespaces.value_or(true)) {
    steps.push_back(make_strip_normalizer(true, true));
    steps.push_back(make_replace_normalizer(Pattern::regex(" {2,}", kWhere), " "));
  }
  parts.normalizer = make_normalizer_sequence(std::move(steps));
  const bool prefix = vocab.add_space_prefix.value_or(true);
  parts.pre_tokenizers.push_back(
      make_metaspace(std::string(kMetaspace), prefix ? PrependScheme::kAlways : PrependScheme::kNever, true));
  parts.model = std::make_unique<Unigram>(std::move(tokens),
                                          std::vector<double>(vocab.scores.begin(), vocab.scores.end()),
                                          vocab.unk_id.value_or(2 < vocab.tokens.size() ? 2 : 0), false);
  parts.decoders.push_back(make_metaspace_decoder(std::string(kMetaspace), prefix));
}

void add_special_tokens(const GgufVocab& vocab, TokenizerParts& parts) {
  for (size_t id = 0; id < vocab.types.size(); ++id) {
    const GgufTokenType type = vocab.types[id];
    const bool special = type == GgufTokenType::control || type == GgufTokenType::unknown;
    if ((!special && type != GgufTokenType::user_defined) || vocab.tokens[id].empty()) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.content = vocab.tokens[id];
    token.special = special;
    parts.added_tokens.push_back(std::move(token));
  }
  const auto role = [&](const char* name, std::optional<int32_t> id) {
    if (id) parts.config.special_tokens.emplace_back(name, vocab.tokens[*id]);
  };
  role("bos_token", vocab.bos_id);
  role("eos_token", vocab.eos_id);
  role("unk_token", vocab.unk_id);
  role("pad_token", vocab.pad_id);
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufVocab& source) {
  check(source);
  GgufVocab vocab = source;
  for (std::string& token : vocab.tokens) {
    if (!is_valid_utf8(token)) token = replace_invalid_utf8(token);
  }
  TokenizerParts parts;
  Vocab tokens(vocab.tokens);
  bool add_bos = false, add_eos = false;
  if (vocab.model == "gpt2") {
    build_byte_level(vocab, std::move(tokens), parts);
    add_bos = find_gguf_pre(vocab.pre).add_bos;
  } else if (vocab.model == "llama") {
    if (!vocab.bos_id && vocab.tokens.size() > 2) vocab.bos_id = 1;
    if (!vocab.eos_id && vocab.tokens.size() > 2) vocab.eos_id = 2;
    build_sentencepiece(vocab, std::move(tokens), parts);
    add_bos = true;
  } else if (vocab.model == "t5") {
    build_unigram(vocab, std::move(tokens), parts);
    if (!vocab.eos_id && vocab.tokens.size() > 1) vocab.eos_id = 1;
    add_eos = true;
  } else {
    throw Error("[{}] model \"{}\" is not supported, expected gpt2, llama or t5", kWhere, vocab.model);
  }
  add_special_tokens(vocab, parts);
  parts.frame.clear();
  if (vocab.add_bos.value_or(add_bos) && vocab.bos_id) parts.frame.push_back(*vocab.bos_id);
  parts.frame.push_back(kTextPlace);
  if (vocab.add_eos.value_or(add_eos) && vocab.eos_id) parts.frame.push_back(*vocab.eos_id);
  parts.config.chat_templates = std::move(vocab.chat_templates);
  for (const auto& [name, text] : parts.config.chat_templates)
    parts.config.named_templates |= name != "default";
  for (const auto& id : {vocab.eot_id, vocab.eom_id}) {
    if (id) parts.end_ids.push_back(*id);
  }
  return Tokenizer(std::move(parts));
}

}  // namespace reprise::tokenizer

#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <atomic>

#include "core/error.h"
#include "core/file_kind.h"
#include "core/json.h"
#include "tokenizer/hash.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

uint64_t next_instance() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

}  // namespace

Tokenizer::Impl::Impl(TokenizerParts parts)
    : instance(next_instance()),
      normalizer(std::move(parts.normalizer)),
      pre_tokenizers(std::move(parts.pre_tokenizers)),
      model(std::move(parts.model)),
      added(std::move(parts.added_tokens), normalizer.get()),
      frame(std::move(parts.frame)),
      decoders(std::move(parts.decoders)),
      config(std::move(parts.config)) {
  REPRISE_CHECK(model != nullptr, "a tokenizer needs a model");
  if (decoders.empty()) decoders.push_back(make_join_decoder());
  size = model->vocab().size();
  for (const AddedToken& token : added.all()) size = std::max(size, token.id + 1);
}

void Tokenizer::Impl::encode_word(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const {
  if (word.size() > WordCache::kMostBytes) return model->encode(word, ids);
  const uint64_t hash = hash_bytes(word);
  if (cache.find(word, hash, ids)) return;
  const size_t before = ids.size();
  model->encode(word, ids);
  cache.insert(word, hash, ids.data() + before, ids.size() - before);
}

void Tokenizer::Impl::encode_piece(std::string_view piece, WordCache& cache,
                                   std::vector<int32_t>& ids) const {
  const std::string_view cut = model->safe_cut();
  if (!cut.empty()) {
    size_t begin = 0;
    for (size_t at = piece.find(cut, 1); at != std::string_view::npos;
         at = piece.find(cut, at + cut.size())) {
      if (piece.substr(0, at).ends_with(cut)) continue;
      encode_word(piece.substr(begin, at - begin), cache, ids);
      begin = at;
    }
    piece.remove_prefix(begin);
  }
  encode_word(piece, cache, ids);
}

void Tokenizer::Impl::encode_section(std::string_view section, bool at_start, WordCache& cache,
                                     std::vector<int32_t>& ids) const {
  NormalizedText normalized;
  normalized.at_start = at_start;
  if (normalizer != nullptr) {
    constexpr size_t kMostGrowth = 64, kAlwaysAllowed = size_t{1} << 20;
    normalized.text = section;
    normalized.limit = section.size() * kMostGrowth + kAlwaysAllowed;
    normalizer->normalize(normalized);
    section = normalized.text;
  }
  added.split_normalized(section, [&](AddedTokens::Part part) {
    if (part.id != kNoToken) {
      ids.push_back(part.id);
      return;
    }
    const TextPiece piece{section.substr(part.begin, part.end - part.begin),
                          normalized.at_start && part.begin == 0};
    run_pre_tokenizers(pre_tokenizers, 0, piece,
                       [&](TextPiece word) { encode_piece(word.text, cache, ids); });
  });
}

std::optional<int32_t> Tokenizer::Impl::role_id(std::string_view role) const {
  const std::string_view text = config.special_token(role);
  if (text.empty()) return std::nullopt;
  if (const AddedToken* token = added.find(text)) return token->id;
  const int32_t id = model->vocab().find(text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

Tokenizer::Tokenizer(TokenizerParts parts) : impl_(std::make_unique<const Impl>(std::move(parts))) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& directory) {
  const auto file = directory / "tokenizer.json";
  return from_json(read_checkpoint_file(file), file.string(), load_tokenizer_config(directory));
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, std::string_view what,
                               TokenizerConfig config) {
  return Tokenizer(parse_tokenizer_json(tokenizer_json, what, std::move(config)));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  WordCache& cache = WordCache::of_this_thread(impl_->instance);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 4);
  impl_->added.split_raw(text, [&](AddedTokens::Part part) {
    if (part.id != kNoToken) {
      ids.push_back(part.id);
    } else {
      impl_->encode_section(text.substr(part.begin, part.end - part.begin), part.begin == 0, cache, ids);
    }
  });
  if (impl_->frame.size() == 1 && impl_->frame[0] == kTextPlace) return ids;
  std::vector<int32_t> framed;
  framed.reserve(ids.size() + impl_->frame.size());
  for (const int32_t id : impl_->frame) {
    if (id == kTextPlace) {
      framed.insert(framed.end(), ids.begin(), ids.end());
    } else if (add_special_tokens) {
      framed.push_back(id);
    }
  }
  return framed;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  StreamingDecoder decoder(*this, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) text += decoder.push(id);
  text += decoder.flush();
  return text;
}

int32_t Tokenizer::vocab_size() const {
  return impl_->size;
}

std::optional<int32_t> Tokenizer::token_to_id(std::string_view text) const {
  if (const AddedToken* token = impl_->added.find(text)) return token->id;
  const int32_t id = impl_->model->vocab().find(text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::optional<std::string_view> Tokenizer::id_to_token(int32_t id) const {
  if (const AddedToken* token = impl_->added.find(id)) return token->text;
  if (id < 0 || id >= impl_->model->vocab().size()) return std::nullopt;
  return impl_->model->vocab().text(id);
}

std::string Tokenizer::token_bytes(int32_t id) const {
  std::string bytes(id_to_token(id).value_or(std::string_view()));
  if (impl_->added.find(id) == nullptr) {
    for (const DecoderPtr& decoder : impl_->decoders) decoder->token_bytes(bytes);
  }
  return bytes;
}

bool Tokenizer::is_special(int32_t id) const {
  return impl_->added.is_special(id);
}

std::optional<int32_t> Tokenizer::bos_id() const {
  return impl_->role_id("bos_token");
}
std::optional<int32_t> Tokenizer::eos_id() const {
  return impl_->role_id("eos_token");
}
std::optional<int32_t> Tokenizer::unk_id() const {
  return impl_->role_id("unk_token");
}
std::optional<int32_t> Tokenizer::pad_id() const {
  return impl_->role_id("pad_token");
}

const TokenizerConfig& Tokenizer::config() const {
  return impl_->config;
}

}  // namespace reprise::tokenizer

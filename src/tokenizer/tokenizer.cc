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
      end_ids(std::move(parts.end_ids)),
      config(std::move(parts.config)) {
  REPRISE_CHECK(model != nullptr, "a tokenizer needs a model");
  if (decoders.empty()) decoders.push_back(make_join_decoder());
  size = model->vocab().size();
  for (const AddedToken& token : added.all()) size = std::max(size, token.id + 1);
  most_bytes_of_an_id = bytes_of_an_id();
  for (const AddedToken& token : added.all()) {
    if (!token.special || token.id >= model->vocab().size()) continue;
    specials_of_model.resize(model->vocab().size());
    specials_of_model[token.id] = true;
  }
}

size_t Tokenizer::Impl::bytes_of_an_id() const {
  const size_t of_model = model->most_bytes_of_an_id();
  const size_t shrink = normalizer == nullptr ? 1 : normalizer->most_shrink();
  if (of_model == 0 || shrink == 0 || added.swallows_blanks()) return 0;
  for (const PreTokenizerPtr& step : pre_tokenizers) {
    if (step->removes_text()) return 0;
  }
  return std::max(of_model, added.longest()) * shrink;
}

void Tokenizer::Impl::Run::check() const {
  if (ids.size() > most_ids) throw TooManyTokens(max_tokens);
}

void Tokenizer::Impl::Run::push(int32_t id) {
  ids.push_back(id);
  check();
}

bool Tokenizer::Impl::holds_special(std::string_view word, std::span<const int32_t> ids) const {
  // A special token that the word does not hold as text is the unknown token, put in place of a character.
  return std::any_of(ids.begin(), ids.end(), [&](int32_t id) {
    return specials_of_model[id] && word.find(model->vocab().text(id)) != std::string_view::npos;
  });
}

void Tokenizer::Impl::encode_plain_word(std::string_view word, Run& run) const {
  const size_t before = run.ids.size();
  model->encode(word, run.ids);
  if (!holds_special(word, std::span(run.ids).subspan(before))) return;
  run.ids.resize(before);
  for (size_t at = 0; at < word.size();) {
    const std::string_view character = word.substr(at, character_at(word, at).length);
    const size_t own = run.ids.size();
    model->encode(character, run.ids);
    if (holds_special(character, std::span(run.ids).subspan(own))) run.ids.resize(own);
    at += character.size();
  }
}

void Tokenizer::Impl::encode_word(std::string_view word, Run& run) const {
  if (run.in_plain && !specials_of_model.empty()) return encode_plain_word(word, run);
  if (word.size() > WordCache::kMostBytes) return model->encode(word, run.ids);
  const uint64_t hash = hash_bytes(word);
  if (run.cache.find(word, hash, run.ids)) return;
  const size_t before = run.ids.size();
  model->encode(word, run.ids);
  run.cache.insert(word, hash, run.ids.data() + before, run.ids.size() - before);
}

void Tokenizer::Impl::encode_piece(std::string_view piece, Run& run) const {
  const std::string_view cut = model->safe_cut();
  if (!cut.empty()) {
    size_t begin = 0;
    for (size_t at = piece.find(cut, 1); at != std::string_view::npos;
         at = piece.find(cut, at + cut.size())) {
      if (piece.substr(0, at).ends_with(cut)) continue;
      encode_word(piece.substr(begin, at - begin), run);
      run.check();
      begin = at;
    }
    piece.remove_prefix(begin);
  }
  encode_word(piece, run);
  run.check();
}

void Tokenizer::Impl::encode_section(size_t begin, size_t end, Run& run) const {
  std::string_view section = run.text.substr(begin, end - begin);
  NormalizedText normalized;
  normalized.at_start = begin == 0;
  PlainRanges plain;
  run.in_plain = run.plain.overlap(begin, end);
  if (run.in_plain && added.has_normalized_special()) {
    normalized.plain = run.plain.flags(begin, end);
  }
  if (normalizer != nullptr) {
    constexpr size_t kMostGrowth = 64, kAlwaysAllowed = size_t{1} << 20;
    normalized.text = section;
    normalized.limit = section.size() * kMostGrowth + kAlwaysAllowed;
    normalizer->normalize(normalized);
    section = normalized.text;
  }
  if (!normalized.plain.empty()) plain = PlainRanges(std::string_view(normalized.plain));
  added.split_normalized(section, plain, [&](AddedTokens::Part part) {
    if (part.id != kNoToken) return run.push(part.id);
    const TextPiece piece{section.substr(part.begin, part.end - part.begin),
                          normalized.at_start && part.begin == 0};
    run_pre_tokenizers(pre_tokenizers, 0, piece, [&](TextPiece word) { encode_piece(word.text, run); });
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

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const auto& frame = impl_->frame;
  const auto places = static_cast<size_t>(std::count(frame.begin(), frame.end(), kTextPlace));
  const size_t around = options.add_special_tokens ? frame.size() - places : 0;
  if (around > options.max_tokens) throw TooManyTokens(options.max_tokens);
  const size_t most_ids = (options.max_tokens - around) / std::max<size_t>(places, 1);
  // A text that is too long by far isn't looked at.
  const size_t per_id = impl_->most_bytes_of_an_id;
  if (per_id != 0 && text.size() / per_id > most_ids) throw TooManyTokens(options.max_tokens);
  PlainRanges plain(options.plain, text.size());
  std::string repaired;
  if (!is_valid_utf8(text)) {
    plain.follow_replacement(text);
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  Impl::Run run{text, std::move(plain), WordCache::of_this_thread(impl_->instance), most_ids,
                options.max_tokens};
  run.ids.reserve(std::min(text.size() / 3, run.most_ids) + 4);
  impl_->added.split_raw(text, run.plain, [&](AddedTokens::Part part) {
    if (part.id != kNoToken) return run.push(part.id);
    impl_->encode_section(part.begin, part.end, run);
  });
  if (frame.size() == 1 && places == 1) return std::move(run.ids);
  std::vector<int32_t> framed;
  framed.reserve(run.ids.size() * places + around);
  for (const int32_t id : frame) {
    if (id == kTextPlace) {
      framed.insert(framed.end(), run.ids.begin(), run.ids.end());
    } else if (options.add_special_tokens) {
      framed.push_back(id);
    }
  }
  return framed;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  StreamingDecoder decoder(*this, skip_special_tokens, DecodeMode::whole);
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

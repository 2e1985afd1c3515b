#include "tokenizer/decoder.h"

#include <charconv>

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

// A stream that needs whole tokens: collects fragments and calls token().
class WholeTokenStream : public TokenStream {
 public:
  explicit WholeTokenStream(TokenStream& next) : next_(next) {}
  void text(std::string_view fragment) final { token_ += fragment; }
  void end_token() final {
    token(token_);
    token_.clear();
  }
  void finish() override { next_.finish(); }

 protected:
  virtual void token(std::string_view text) = 0;
  void emit(std::string_view text) {
    next_.text(text);
    next_.end_token();
  }
  TokenStream& next_;

 private:
  std::string token_;
};

// A decoder whose stream is constructed from its settings.
template <typename Stream, typename Settings>
class SimpleDecoder : public Decoder {
 public:
  explicit SimpleDecoder(Settings settings) : settings_(std::move(settings)) {}
  TokenStreamPtr start(TokenStream& next) const override { return std::make_unique<Stream>(next, settings_); }

 protected:
  Settings settings_;
};

struct NoSettings {};

// ---- ByteLevel: all tokens are one run of bytes; a token with a character outside of the alphabet is its
// own bytes.

class ByteLevelStream final : public WholeTokenStream {
 public:
  ByteLevelStream(TokenStream& next, NoSettings) : WholeTokenStream(next) {}
  void finish() override {
    if (!tail_.empty()) next_.text(replace_invalid_utf8(tail_));
    next_.end_token();
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    tail_ += from_byte_level(text).value_or(std::string(text));
    // Hand on all but an unfinished last character, which has at most 3 bytes.
    size_t keep = 0;
    for (size_t back = 1; back <= 3 && back <= tail_.size(); ++back) {
      const Utf8Step step = classify_utf8(tail_, tail_.size() - back);
      if (step.kind == Utf8Step::Kind::kIncomplete && step.length == static_cast<int>(back)) keep = back;
    }
    const std::string_view done = std::string_view(tail_).substr(0, tail_.size() - keep);
    if (is_valid_utf8(done)) {
      next_.text(done);
    } else {
      next_.text(replace_invalid_utf8(done));
    }
    tail_.erase(0, done.size());
  }
  std::string tail_;
};

class ByteLevelDecoder final : public SimpleDecoder<ByteLevelStream, NoSettings> {
 public:
  using SimpleDecoder::SimpleDecoder;
  void token_bytes(std::string& token) const override {
    if (!is_valid_utf8(token)) return;
    if (auto bytes = from_byte_level(token)) token = std::move(*bytes);
  }
};

// ---- ByteFallback: <0x0A> is a byte; a run of them is text when it is valid as a whole, else a U+FFFD for
// each byte.

bool parse_byte_token(std::string_view token, char& byte) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return false;
  std::string_view digits = token.substr(3, 2);
  if (digits[0] == '+') digits.remove_prefix(1);  // Rust's from_str_radix takes a sign
  unsigned value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return false;
  byte = static_cast<char>(value);
  return true;
}

class ByteFallbackStream final : public WholeTokenStream {
 public:
  ByteFallbackStream(TokenStream& next, NoSettings) : WholeTokenStream(next) {}
  void finish() override {
    flush();
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    char byte = 0;
    if (parse_byte_token(text, byte)) {
      run_.push_back(byte);
      return;
    }
    flush();
    emit(text);
  }
  void flush() {
    if (run_.empty()) return;
    if (is_valid_utf8(run_)) {
      emit(run_);
    } else {
      for (size_t k = 0; k < run_.size(); ++k) emit(kReplacementCharacter);
    }
    run_.clear();
  }
  std::string run_;
};

class ByteFallbackDecoder final : public SimpleDecoder<ByteFallbackStream, NoSettings> {
 public:
  using SimpleDecoder::SimpleDecoder;
  void token_bytes(std::string& token) const override {
    char byte = 0;
    if (parse_byte_token(token, byte)) token.assign(1, byte);
  }
};

// ---- Metaspace: the replacement is a space again; in the first token it is dropped.

struct MetaspaceSettings {
  Pattern replacement;
  bool drops_first;
};

class MetaspaceStream final : public WholeTokenStream {
 public:
  MetaspaceStream(TokenStream& next, const MetaspaceSettings& settings)
      : WholeTokenStream(next), settings_(settings) {}

 private:
  void token(std::string_view text) override {
    emit(settings_.replacement.replace_all(text, first_ && settings_.drops_first ? "" : " "));
    first_ = false;
  }
  const MetaspaceSettings& settings_;
  bool first_ = true;
};

class MetaspaceDecoder final : public SimpleDecoder<MetaspaceStream, MetaspaceSettings> {
 public:
  using SimpleDecoder::SimpleDecoder;
  void token_bytes(std::string& token) const override {
    if (is_valid_utf8(token)) token = settings_.replacement.replace_all(token, " ");
  }
};

// ---- Replace

struct ReplaceSettings {
  Pattern pattern;
  std::string content;
};

class ReplaceTokenStream final : public WholeTokenStream {
 public:
  ReplaceTokenStream(TokenStream& next, const ReplaceSettings& settings)
      : WholeTokenStream(next), settings_(settings) {}

 private:
  void token(std::string_view text) override { emit(settings_.pattern.replace_all(text, settings_.content)); }
  const ReplaceSettings& settings_;
};

// A pattern of one character never spans two fragments: nothing is held back, even behind Fuse.
class ReplaceCharacterStream final : public TokenStream {
 public:
  ReplaceCharacterStream(TokenStream& next, const ReplaceSettings& settings)
      : next_(next), settings_(settings) {}
  void text(std::string_view fragment) override {
    next_.text(settings_.pattern.replace_all(fragment, settings_.content));
  }
  void end_token() override { next_.end_token(); }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  const ReplaceSettings& settings_;
};

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(ReplaceSettings settings) : settings_(std::move(settings)) {}
  TokenStreamPtr start(TokenStream& next) const override {
    const std::string& literal = settings_.pattern.literal_text();
    if (!literal.empty() && character_at(literal, 0).length == static_cast<int>(literal.size())) {
      return std::make_unique<ReplaceCharacterStream>(next, settings_);
    }
    return std::make_unique<ReplaceTokenStream>(next, settings_);
  }
  void token_bytes(std::string& token) const override {
    if (is_valid_utf8(token)) token = settings_.pattern.replace_all(token, settings_.content);
  }

 private:
  ReplaceSettings settings_;
};

// ---- Strip: up to `start` leading and `stop` trailing copies of a character go from each token.

struct StripSettings {
  char32_t content;
  size_t start;
  size_t stop;
};

class StripStream final : public TokenStream {
 public:
  StripStream(TokenStream& next, const StripSettings& settings) : next_(next), settings_(settings) {}
  void text(std::string_view fragment) override {
    size_t at = 0;
    while (at < fragment.size() && cut_ < settings_.start) {
      const Character character = character_at(fragment, at);
      if (character.code != settings_.content) break;
      ++cut_;
      at += character.length;
    }
    if (at == fragment.size()) return;
    cut_ = settings_.start;  // the first other character ends the cutting
    held_ += fragment.substr(at);
    // Trailing copies may still be cut: hold back as many as that could be.
    size_t keep = held_.size();
    for (size_t copies = 0; copies < settings_.stop && keep > 0; ++copies) {
      const Character last = last_character(std::string_view(held_).substr(0, keep));
      if (last.code != settings_.content) break;
      keep -= last.length;
    }
    next_.text(std::string_view(held_).substr(0, keep));
    held_.erase(0, keep);
  }
  void end_token() override {
    held_.clear();
    cut_ = 0;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  const StripSettings& settings_;
  size_t cut_ = 0;
  std::string held_;
};

// ---- Fuse: all tokens become one.

class FuseStream final : public TokenStream {
 public:
  FuseStream(TokenStream& next, NoSettings) : next_(next) {}
  void text(std::string_view fragment) override { next_.text(fragment); }
  void end_token() override {}
  void finish() override {
    next_.end_token();
    next_.finish();
  }

 private:
  TokenStream& next_;
};

// ---- BPEDecoder: the end-of-word suffix is a space, but nothing at the very end.

class BpeSuffixStream final : public WholeTokenStream {
 public:
  BpeSuffixStream(TokenStream& next, const Pattern& suffix) : WholeTokenStream(next), suffix_(suffix) {}
  void finish() override {
    if (any_) emit(suffix_.replace_all(held_, ""));
    next_.finish();
  }

 private:
  void token(std::string_view text) override {
    if (any_) emit(suffix_.replace_all(held_, " "));
    held_ = text;
    any_ = true;
  }
  const Pattern& suffix_;
  std::string held_;
  bool any_ = false;
};

// ---- no decoder at all

class JoinStream final : public TokenStream {
 public:
  JoinStream(TokenStream& next, NoSettings) : next_(next) {}
  void text(std::string_view fragment) override {
    if (space_due_) next_.text(" ");
    space_due_ = false;
    next_.text(fragment);
  }
  void end_token() override {
    if (space_due_) next_.text(" ");  // the token was empty
    space_due_ = true;
  }
  void finish() override {
    next_.end_token();
    next_.finish();
  }

 private:
  TokenStream& next_;
  bool space_due_ = false;
};

}  // namespace

DecoderPtr make_byte_level_decoder() {
  return std::make_unique<ByteLevelDecoder>(NoSettings{});
}
DecoderPtr make_byte_fallback_decoder() {
  return std::make_unique<ByteFallbackDecoder>(NoSettings{});
}
DecoderPtr make_metaspace_decoder(std::string replacement, bool drops_first) {
  return std::make_unique<MetaspaceDecoder>(
      MetaspaceSettings{Pattern::literal(std::move(replacement), "Metaspace"), drops_first});
}
DecoderPtr make_replace_decoder(Pattern pattern, std::string content) {
  return std::make_unique<ReplaceDecoder>(ReplaceSettings{std::move(pattern), std::move(content)});
}
DecoderPtr make_strip_decoder(char32_t content, size_t start, size_t stop) {
  return std::make_unique<SimpleDecoder<StripStream, StripSettings>>(StripSettings{content, start, stop});
}
DecoderPtr make_fuse_decoder() {
  return std::make_unique<SimpleDecoder<FuseStream, NoSettings>>(NoSettings{});
}
DecoderPtr make_bpe_decoder(std::string suffix) {
  return std::make_unique<SimpleDecoder<BpeSuffixStream, Pattern>>(
      Pattern::literal(std::move(suffix), "BPEDecoder"));
}
DecoderPtr make_join_decoder() {
  return std::make_unique<SimpleDecoder<JoinStream, NoSettings>>(NoSettings{});
}

}  // namespace reprise::tokenizer

// The decoders that work on text (decoder.h); decoder_bytes.cc has those that make text of bytes.
#include "tokenizer/decoder.h"

#include <algorithm>

#include "core/error.h"
#include "tokenizer/literal.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

// A decoder whose stream is constructed from its settings.
template <typename Stream, typename Settings>
class SimpleDecoder : public Decoder {
 public:
  explicit SimpleDecoder(Settings settings) : settings_(std::move(settings)) {}
  TokenStreamPtr start(TokenStream& next, DecodeMode) const override {
    return std::make_unique<Stream>(next, settings_);
  }

 protected:
  Settings settings_;
};

struct NoSettings {};

// ---- Metaspace: the replacement is a space again; in the first token it is dropped.

struct MetaspaceSettings {
  Pattern replacement;
  bool drops_first;
};

// A pattern of one character never spans two fragments.
class MetaspaceStream final : public TokenStream {
 public:
  MetaspaceStream(TokenStream& next, const MetaspaceSettings& settings) : next_(next), settings_(settings) {}
  void text(std::string_view fragment) override {
    next_.text(settings_.replacement.replace_all(fragment, first_ && settings_.drops_first ? "" : " "));
  }
  void end_token() override {
    first_ = false;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
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
  Literal literal;  // empty: a regular expression
  std::string content;
};

constexpr size_t kMostReplaced = size_t{1} << 26;  // bytes of one fragment

class ReplaceLiteralStream final : public TokenStream {
 public:
  ReplaceLiteralStream(TokenStream& next, const ReplaceSettings& settings)
      : next_(next), settings_(settings) {}
  void text(std::string_view fragment) override {
    out_.clear();
    held_ = settings_.literal.scan(
        held_, fragment, [&](std::string_view text) { out_ += text; },
        [&] {
          out_ += settings_.content;
          if (out_.size() > kMostReplaced)
            throw Error("[tokenizer] a Replace rule makes a text grow beyond {} bytes", kMostReplaced);
        });
    next_.text(out_);
  }
  void end_token() override {
    next_.text(settings_.literal.beginning(held_));
    held_ = 0;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  const ReplaceSettings& settings_;
  size_t held_ = 0;  // bytes of the literal
  std::string out_;
};

class ReplaceRegexStream final : public TokenStream {
 public:
  ReplaceRegexStream(TokenStream& next, const ReplaceSettings& settings) : next_(next), settings_(settings) {}
  void text(std::string_view fragment) override { token_ += fragment; }
  void end_token() override {
    next_.text(settings_.pattern.replace_all(token_, settings_.content));
    token_.clear();
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  TokenStream& next_;
  const ReplaceSettings& settings_;
  std::string token_;
};

class ReplaceDecoder final : public Decoder {
 public:
  explicit ReplaceDecoder(ReplaceSettings settings) : settings_(std::move(settings)) {}
  TokenStreamPtr start(TokenStream& next, DecodeMode) const override {
    if (!settings_.literal.empty()) return std::make_unique<ReplaceLiteralStream>(next, settings_);
    return std::make_unique<ReplaceRegexStream>(next, settings_);
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
    fragment.remove_prefix(at);
    // Trailing copies may still be cut: hold back as many as that could be.
    size_t end = fragment.size(), copies = 0;
    while (end > 0) {
      const Character last = last_character(fragment.substr(0, end));
      if (last.code != settings_.content) break;
      end -= last.length;
      ++copies;
    }
    if (end > 0) {
      forward(held_);
      next_.text(fragment.substr(0, end));
      held_ = 0;
    }
    held_ += copies;
    if (held_ > settings_.stop) forward(held_ - settings_.stop);
    held_ = std::min(held_, settings_.stop);
  }
  void end_token() override {
    held_ = 0;
    cut_ = 0;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  void forward(size_t copies) {
    std::string text;
    for (; copies > 0; --copies) append_utf8(text, settings_.content);
    next_.text(text);
  }

  TokenStream& next_;
  const StripSettings& settings_;
  size_t cut_ = 0;
  size_t held_ = 0;  // copies of the character
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

class BpeSuffixStream final : public TokenStream {
 public:
  BpeSuffixStream(TokenStream& next, const Literal& suffix) : next_(next), suffix_(suffix) {}
  void text(std::string_view fragment) override {
    next_token_begins();
    in_token_ = true;
    partial_ = suffix_.scan(
        partial_, fragment, [&](std::string_view text) { add(text); }, [&] { add_suffix(); });
    any_text_ |= !fragment.empty();
  }
  void end_token() override {
    next_token_begins();
    add(suffix_.beginning(partial_));
    if (suffix_.empty() && any_text_) add_suffix();
    partial_ = 0;
    in_token_ = any_text_ = false;
    if (!held_) next_.end_token();
  }
  void finish() override {
    if (held_) {
      next_.text(as_last_);
      next_.end_token();
    }
    next_.finish();
  }

 private:
  void add(std::string_view text) {
    if (!held_) return next_.text(text);
    as_last_ += text;
    as_other_ += text;
  }
  void add_suffix() {
    held_ = true;
    as_other_ += ' ';
  }
  void next_token_begins() {
    if (in_token_ || !held_) return;
    next_.text(as_other_);
    next_.end_token();
    as_last_.clear();
    as_other_.clear();
    held_ = false;
  }

  TokenStream& next_;
  const Literal& suffix_;
  size_t partial_ = 0;  // bytes of the suffix
  bool in_token_ = false;
  bool any_text_ = false;  // in this token
  // The token is held from its first suffix on, in the form it has as the last token and as another.
  bool held_ = false;
  std::string as_last_, as_other_;
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

DecoderPtr make_metaspace_decoder(std::string replacement, bool drops_first) {
  return std::make_unique<MetaspaceDecoder>(
      MetaspaceSettings{Pattern::literal(std::move(replacement), "Metaspace"), drops_first});
}
DecoderPtr make_replace_decoder(Pattern pattern, std::string content) {
  Literal literal(pattern.literal_text());
  return std::make_unique<ReplaceDecoder>(
      ReplaceSettings{std::move(pattern), std::move(literal), std::move(content)});
}
DecoderPtr make_strip_decoder(char32_t content, size_t start, size_t stop) {
  return std::make_unique<SimpleDecoder<StripStream, StripSettings>>(StripSettings{content, start, stop});
}
DecoderPtr make_fuse_decoder() {
  return std::make_unique<SimpleDecoder<FuseStream, NoSettings>>(NoSettings{});
}
DecoderPtr make_bpe_decoder(std::string suffix) {
  return std::make_unique<SimpleDecoder<BpeSuffixStream, Literal>>(Literal(std::move(suffix)));
}
DecoderPtr make_join_decoder() {
  return std::make_unique<SimpleDecoder<JoinStream, NoSettings>>(NoSettings{});
}

}  // namespace reprise::tokenizer

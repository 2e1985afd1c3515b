// The decoders that make text of bytes: ByteLevel and ByteFallback (decoder.h).
#include <charconv>
#include <utility>

#include "tokenizer/byte_level.h"
#include "tokenizer/decoder.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

// ---- ByteLevel: all tokens are one run of bytes; a token with a character outside of the alphabet is its
// own bytes.

class ByteLevelStream final : public TokenStream {
 public:
  explicit ByteLevelStream(TokenStream& next) : next_(next) {}
  void text(std::string_view fragment) override {
    if (!outside_) {
      if (const auto bytes = from_byte_level(fragment)) {
        text_ += fragment;
        bytes_ += *bytes;
        return;
      }
      outside_ = true;
      add(text_);
    }
    add(fragment);
  }
  void end_token() override {
    if (!outside_) add(bytes_);
    text_.clear();
    bytes_.clear();
    outside_ = false;
  }
  void finish() override {
    if (!tail_.empty()) next_.text(replace_invalid_utf8(tail_));
    next_.end_token();
    next_.finish();
  }

 private:
  // Forwards all but an unfinished last character, which has at most 3 bytes.
  void add(std::string_view bytes) {
    tail_ += bytes;
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

  TokenStream& next_;
  std::string text_;      // of this token so far,
  std::string bytes_;     // and the bytes that it stands for
  bool outside_ = false;  // it has a character outside of the alphabet
  std::string tail_;
};

class ByteLevelDecoder final : public Decoder {
 public:
  TokenStreamPtr start(TokenStream& next, DecodeMode) const override {
    return std::make_unique<ByteLevelStream>(next);
  }
  void token_bytes(std::string& token) const override {
    if (!is_valid_utf8(token)) return;
    if (auto bytes = from_byte_level(token)) token = std::move(*bytes);
  }
};

// ---- ByteFallback: <0x0A> is a byte; the bytes of neighbouring tokens are one text.

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

bool may_begin_byte_token(std::string_view text) {
  constexpr std::string_view kBegin = "<0x";
  return text.size() <= 6 && (text.starts_with(kBegin) || kBegin.starts_with(text));
}

class ByteFallbackStream final : public TokenStream {
 public:
  ByteFallbackStream(TokenStream& next, DecodeMode mode) : next_(next), mode_(mode) {}
  void text(std::string_view fragment) override {
    if (ordinary_) return next_.text(fragment);
    token_ += fragment;
    if (!may_begin_byte_token(token_)) forward_token();
  }
  void end_token() override {
    char byte = 0;
    if (!ordinary_ && parse_byte_token(token_, byte)) {
      token_.clear();
      add_byte(byte);
      return;
    }
    if (!ordinary_) forward_token();
    ordinary_ = false;
    next_.end_token();
  }
  void finish() override {
    end_run();
    next_.finish();
  }

 private:
  void forward_token() {
    end_run();
    next_.text(token_);
    token_.clear();
    ordinary_ = true;
  }
  void add_byte(char byte) {
    in_run_ = true;
    run_.push_back(byte);
    if (mode_ == DecodeMode::whole) return;
    while (!run_.empty()) {
      const Utf8Step step = classify_utf8(run_, 0);
      if (step.kind == Utf8Step::Kind::kIncomplete) return;
      if (step.kind == Utf8Step::Kind::kCharacter) {
        next_.text(std::string_view(run_).substr(0, step.length));
      } else {
        add_replacements(step.length);
      }
      run_.erase(0, step.length);
    }
  }
  void add_replacements(size_t count) {
    for (size_t k = 0; k < count; ++k) next_.text(kReplacementCharacter);
  }
  // A run is one token. In the library an invalid one is as many tokens as it has bytes.
  void end_run() {
    if (!in_run_) return;
    if (mode_ == DecodeMode::streaming) {
      add_replacements(run_.size());
    } else if (is_valid_utf8(run_)) {
      next_.text(run_);
    } else {
      for (size_t k = 0; k < run_.size(); ++k) {
        if (k > 0) next_.end_token();
        add_replacements(1);
      }
    }
    next_.end_token();
    run_.clear();
    in_run_ = false;
  }

  TokenStream& next_;
  DecodeMode mode_;
  std::string token_;      // this token so far, while it may be a byte
  bool ordinary_ = false;  // it is none
  bool in_run_ = false;
  std::string run_;  // the bytes that are held back
};

class ByteFallbackDecoder final : public Decoder {
 public:
  TokenStreamPtr start(TokenStream& next, DecodeMode mode) const override {
    return std::make_unique<ByteFallbackStream>(next, mode);
  }
  void token_bytes(std::string& token) const override {
    char byte = 0;
    if (parse_byte_token(token, byte)) token.assign(1, byte);
  }
};

}  // namespace

DecoderPtr make_byte_level_decoder() {
  return std::make_unique<ByteLevelDecoder>();
}
DecoderPtr make_byte_fallback_decoder() {
  return std::make_unique<ByteFallbackDecoder>();
}

}  // namespace reprise::tokenizer

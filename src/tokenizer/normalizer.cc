#include "tokenizer/normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/unicode_form.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

// Rewrites a text character by character; a character that maps to nothing at the front moves the start.
template <typename Map>
void map_characters(NormalizedText& text, Map&& map) {
  std::string out, plain;
  out.reserve(text.text.size());
  for (size_t at = 0; at < text.text.size();) {
    const Character character = character_at(text.text, at);
    const size_t before = out.size();
    map(character.code, out);
    if (out.size() == before && before == 0) text.at_start = false;
    if (!text.plain.empty()) plain.append(out.size() - before, text.plain[at]);
    at += character.length;
  }
  text.text = std::move(out);
  text.plain = std::move(plain);
}

bool any_plain(const NormalizedText& text, size_t begin, size_t end) {
  const std::string_view part = std::string_view(text.plain).substr(begin, end - begin);
  return part.find_first_not_of('\0') != std::string_view::npos;
}

// The Unicode form of a text with its flags. Composition reaches from an ASCII character, which may take the
// marks behind it, to the next one: such a segment is normalized by itself.
void normalize_with_flags(NormalizedText& text, UnicodeForm form) {
  std::string out, plain;
  const std::string_view all = text.text;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() && static_cast<unsigned char>(all[end]) >= 0x80) ++end;
    const std::string segment = to_unicode_form(all.substr(begin, end - begin), form);
    const size_t unchanged = segment.starts_with(all[begin]) ? 1 : 0;
    plain.append(unchanged, text.plain[begin]);
    plain.append(segment.size() - unchanged, any_plain(text, begin + unchanged, end) ? '\1' : '\0');
    out += segment;
    begin = end;
  }
  text.text = std::move(out);
  text.plain = std::move(plain);
}

class UnicodeNormalizer final : public Normalizer {
 public:
  explicit UnicodeNormalizer(UnicodeForm form) : form_(form) {}
  void normalize(NormalizedText& text) const override {
    if (is_trivially_normal(text.text, form_)) return;
    if (text.plain.empty()) {
      text.text = to_unicode_form(text.text, form_);
    } else {
      normalize_with_flags(text, form_);
    }
  }
  // A singleton loses a byte or two (U+212A is K); a composition takes at most three marks of a few bytes;
  // the compatible forms begin with characters of four bytes that stand for one.
  size_t most_shrink() const override {
    return form_ == UnicodeForm::kNfc || form_ == UnicodeForm::kNfd ? 6 : 12;
  }

 private:
  UnicodeForm form_;
};

class Lowercase final : public Normalizer {
 public:
  size_t most_shrink() const override { return 4; }
  void normalize(NormalizedText& text) const override {
    map_characters(text, [](char32_t code, std::string& out) {
      if (code == 0x130) {  // the one letter whose lower case is two characters
        out += "i\xCC\x87";
      } else {
        append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
      }
    });
  }
};

class Strip final : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void normalize(NormalizedText& text) const override {
    std::string_view rest = text.text;
    while (left_ && !rest.empty()) {
      const Character first = character_at(rest, 0);
      if (!is_whitespace(first.code)) break;
      rest.remove_prefix(first.length);
      text.at_start = false;
    }
    while (right_ && !rest.empty()) {
      const Character last = last_character(rest);
      if (!is_whitespace(last.code)) break;
      rest.remove_suffix(last.length);
    }
    if (!text.plain.empty()) text.plain = text.plain.substr(rest.data() - text.text.data(), rest.size());
    text.text = std::string(rest);
  }

 private:
  bool left_, right_;
};

class StripAccents final : public Normalizer {
 public:
  void normalize(NormalizedText& text) const override {
    map_characters(text, [](char32_t code, std::string& out) {
      if (!is_combining_mark(code)) append_utf8(out, code);
    });
  }
};

// SentencePiece's "nmt" rules: controls go, odd blanks become a space.
class Nmt final : public Normalizer {
 public:
  void normalize(NormalizedText& text) const override {
    map_characters(text, [](char32_t code, std::string& out) {
      if ((code >= 0x01 && code <= 0x08) || code == 0x0B || (code >= 0x0E && code <= 0x1F) || code == 0x7F ||
          code == 0x8F || code == 0x9F) {
        return;
      }
      const bool blank = code == 0x09 || code == 0x0A || code == 0x0C || code == 0x0D || code == 0x1680 ||
                         (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                         code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
      append_utf8(out, blank ? U' ' : code);
    });
  }
};

class ByteLevel final : public Normalizer {
 public:
  void normalize(NormalizedText& text) const override {
    std::string plain;
    if (!text.plain.empty()) {
      for (size_t at = 0; at < text.text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text.text[at]);
        plain.append(byte_level_character(byte).size(), text.plain[at]);
      }
    }
    text.text = to_byte_level(text.text);
    text.plain = std::move(plain);
  }
  size_t most_shrink() const override { return 1; }
};

class Replace final : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void normalize(NormalizedText& text) const override {
    if (content_.empty()) {
      bool starts = false;
      pattern_.for_each_match(text.text, [&](size_t begin, size_t end) { starts |= begin == 0 && end > 0; });
      if (starts) text.at_start = false;
    }
    std::string replaced = pattern_.replace_all(text.text, content_, text.limit);
    if (!text.plain.empty()) text.plain = replaced_flags(text);
    text.text = std::move(replaced);
  }
  size_t most_shrink() const override {
    const size_t length = pattern_.literal_text().size();
    if (length == 0 || content_.empty()) return 0;
    return (length + content_.size() - 1) / content_.size();
  }

 private:
  std::string replaced_flags(const NormalizedText& text) const {
    std::string plain;
    size_t copied = 0;
    pattern_.for_each_match(text.text, [&](size_t begin, size_t end) {
      plain += std::string_view(text.plain).substr(copied, begin - copied);
      plain.append(content_.size(), any_plain(text, begin, end) ? '\1' : '\0');
      copied = end;
    });
    return plain += std::string_view(text.plain).substr(copied);
  }

  Pattern pattern_;
  std::string content_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void normalize(NormalizedText& text) const override {
    if (text.text.empty()) return;
    text.text.insert(0, prefix_);
    if (!text.plain.empty()) text.plain.insert(0, prefix_.size(), '\0');
  }
  size_t most_shrink() const override { return 1; }

 private:
  std::string prefix_;
};

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<NormalizerPtr> steps) : steps_(std::move(steps)) {}
  void normalize(NormalizedText& text) const override {
    for (const NormalizerPtr& step : steps_) step->normalize(text);
  }
  size_t most_shrink() const override {
    size_t product = 1;
    for (const NormalizerPtr& step : steps_) product *= std::min<size_t>(step->most_shrink(), 1000);
    return product > 1'000'000 ? 0 : product;
  }

 private:
  std::vector<NormalizerPtr> steps_;
};

}  // namespace

NormalizerPtr make_unicode_normalizer(UnicodeForm form) {
  return std::make_unique<UnicodeNormalizer>(form);
}
NormalizerPtr make_lowercase_normalizer() {
  return std::make_unique<Lowercase>();
}
NormalizerPtr make_strip_normalizer(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}
NormalizerPtr make_strip_accents_normalizer() {
  return std::make_unique<StripAccents>();
}
NormalizerPtr make_nmt_normalizer() {
  return std::make_unique<Nmt>();
}
NormalizerPtr make_byte_level_normalizer() {
  return std::make_unique<ByteLevel>();
}
NormalizerPtr make_replace_normalizer(Pattern pattern, std::string content) {
  return std::make_unique<Replace>(std::move(pattern), std::move(content));
}
NormalizerPtr make_prepend_normalizer(std::string prefix) {
  return std::make_unique<Prepend>(std::move(prefix));
}
NormalizerPtr make_normalizer_sequence(std::vector<NormalizerPtr> steps) {
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

std::string decode_base64(std::string_view text, std::string_view what) {
  static const std::array<int, 256> kValues = [] {
    std::array<int, 256> values;
    values.fill(-1);
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t k = 0; k < kAlphabet.size(); ++k)
      values[static_cast<unsigned char>(kAlphabet[k])] = static_cast<int>(k);
    return values;
  }();
  if (text.size() % 4 != 0)
    throw Error("[{}] base64 of {} characters, expected a multiple of 4", what, text.size());
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool pad = at + padding >= text.size();
    const int value = pad ? 0 : kValues[static_cast<unsigned char>(text[at])];
    if (value < 0) {
      throw Error("[{}] byte 0x{:02X} at {} is not base64", what, static_cast<unsigned char>(text[at]), at);
    }
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (at % 4 == 3) {
      out.push_back(static_cast<char>(bits >> 16));
      out.push_back(static_cast<char>(bits >> 8));
      out.push_back(static_cast<char>(bits));
    }
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace reprise::tokenizer

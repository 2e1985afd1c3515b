// SentencePiece's precompiled character map: a Darts double-array trie from byte sequences to offsets into a
// blob of zero-terminated replacements. Layout: u32 size of the trie in bytes, the trie (u32 units), the
// blob; little-endian.
//
// It is applied as the tokenizers library does: a grapheme of fewer than 6 bytes is looked up whole, else
// character by character, and the *shortest* matching prefix decides for all of it. That is odd, and what the
// models were made with.
#include <utf8proc.h>

#include <cstring>

#include "core/error.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

class Precompiled final : public Normalizer {
 public:
  Precompiled(std::string charsmap, std::string_view what) {
    uint32_t trie_bytes = 0;
    if (charsmap.size() < sizeof(trie_bytes)) {
      throw Error("[{}] a character map of {} bytes, expected at least 4", what, charsmap.size());
    }
    std::memcpy(&trie_bytes, charsmap.data(), sizeof(trie_bytes));
    if (trie_bytes % 4 != 0 || trie_bytes == 0 || trie_bytes > charsmap.size() - 4) {
      throw Error("[{}] the trie claims {} bytes of a character map of {}", what, trie_bytes,
                  charsmap.size());
    }
    units_.resize(trie_bytes / 4);
    std::memcpy(units_.data(), charsmap.data() + 4, trie_bytes);
    blob_ = charsmap.substr(4 + trie_bytes);
    if (!is_valid_utf8(blob_)) throw Error("[{}] the replacements are not valid UTF-8", what);
  }

  void normalize(NormalizedText& text) const override {
    std::string out, plain;
    out.reserve(text.text.size() + 16);
    const std::string_view all = text.text;
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = grapheme_end(all, begin);
      const size_t before = out.size();
      map_grapheme(all.substr(begin, end - begin), out);
      if (!text.plain.empty()) {
        const bool any = text.plain.substr(begin, end - begin).find_first_not_of('\0') != std::string::npos;
        plain.append(out.size() - before, any ? '\1' : '\0');
      }
      begin = end;
    }
    text.text = std::move(out);
    text.plain = std::move(plain);
  }

 private:
  static size_t grapheme_end(std::string_view text, size_t begin) {
    Character previous = character_at(text, begin);
    size_t at = begin + previous.length;
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
      const Character next = character_at(text, at);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous.code),
                                           static_cast<utf8proc_int32_t>(next.code), &state)) {
        break;
      }
      previous = next;
      at += next.length;
    }
    return at;
  }

  void map_grapheme(std::string_view grapheme, std::string& out) const {
    constexpr size_t kWholeBelow = 6;
    std::string_view mapped;
    if (grapheme.size() < kWholeBelow && find(grapheme, mapped)) {
      out += mapped;
      return;
    }
    for (size_t at = 0; at < grapheme.size();) {
      const std::string_view character = grapheme.substr(at, character_at(grapheme, at).length);
      out += find(character, mapped) ? mapped : character;
      at += character.size();
    }
  }

  // The replacement for the shortest prefix of `key` in the trie. Nodes outside of the array end the walk.
  bool find(std::string_view key, std::string_view& mapped) const {
    const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
    size_t node = offset(units_[0]);
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return false;
      node ^= byte;
      if (node >= units_.size()) return false;
      const uint32_t unit = units_[node];
      if ((unit & (1u << 31 | 0xFFu)) != byte) return false;
      node ^= offset(unit);
      if (unit >> 8 & 1) {
        if (node >= units_.size()) return false;
        const size_t value = units_[node] & ~(1u << 31);
        if (value > blob_.size()) return false;
        const size_t end = blob_.find('\0', value);
        mapped =
            std::string_view(blob_).substr(value, (end == std::string::npos ? blob_.size() : end) - value);
        // An offset into the middle of a character is not a replacement.
        return mapped.empty() || (static_cast<unsigned char>(mapped[0]) & 0xC0) != 0x80;
      }
    }
    return false;
  }

  std::vector<uint32_t> units_;
  std::string blob_;
};

}  // namespace

NormalizerPtr make_precompiled_normalizer(std::string charsmap, std::string_view what) {
  return std::make_unique<Precompiled>(std::move(charsmap), what);
}

}  // namespace reprise::tokenizer

#include "tokenizer/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

// 0 for marks that are newer than the library's data: it does not move them.
int combining_class(utf8proc_int32_t code) {
  const int known = utf8proc_get_property(code)->combining_class;
  return known != 0 && is_combining_mark(static_cast<char32_t>(code)) ? known : 0;
}

// Canonical ordering (UAX 15, D109): each run of characters with a combining class above 0, sorted stably by
// it.
void order_marks(std::vector<utf8proc_int32_t>& codes) {
  for (size_t at = 0; at < codes.size();) {
    if (codes[at] < 0x300 || combining_class(codes[at]) == 0) {
      ++at;
      continue;
    }
    size_t end = at + 1;
    while (end < codes.size() && combining_class(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + at, codes.begin() + end,
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
}

// Composes in place. A mark that the library doesn't know is a character like any other to it, across which
// nothing is composed.
void compose_between_newer_marks(std::vector<utf8proc_int32_t>& codes) {
  const auto is_newer_mark = [](utf8proc_int32_t code) {
    return code >= 0x300 && utf8proc_get_property(code)->combining_class != 0 && combining_class(code) == 0;
  };
  auto out = codes.begin();
  for (auto begin = codes.begin(); begin != codes.end();) {
    const auto end = std::find_if(begin, codes.end(), is_newer_mark);
    const utf8proc_ssize_t length = utf8proc_normalize_utf32(
        &*begin, end - begin, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    REPRISE_CHECK(length >= 0, "utf8proc failed to compose: {}", length);
    out = std::move(begin, begin + length, out);
    begin = end;
    if (end != codes.end()) *out++ = *begin++;
  }
  codes.erase(out, codes.end());
}

// Characters that the tokenizers library leaves alone because they are newer than its Unicode data (found by
// trying all code points); utf8proc knows them.
bool is_newer_than_the_library(char32_t code) {
  return code == 0x32FF || (code >= 0xA7F2 && code <= 0xA7F4) || code == 0xAB69 ||
         (code >= 0x10781 && code <= 0x107BA) || code == 0x11938 || (code >= 0x1E030 && code <= 0x1E06D) ||
         code == 0x1F16C || (code >= 0x1FBF0 && code <= 0x1FBF9);
}

}  // namespace

bool is_trivially_normal(std::string_view text, UnicodeForm form) {
  // The first byte of the first character to look at: U+0300 (lead 0xCC) for NFC, beyond ASCII for the
  // others.
  const unsigned char limit = form == UnicodeForm::kNfc ? 0xCC : 0x80;
  return std::none_of(text.begin(), text.end(),
                      [&](char c) { return static_cast<unsigned char>(c) >= limit; });
}

std::string to_unicode_form(std::string_view text, UnicodeForm form) {
  const bool compatible = form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd;
  const bool compose = form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size() + 32);
  constexpr int kLongest = 32;  // the longest decomposition has 18 characters (U+FDFA)
  for (size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    at += character.length;
    if (character.code < 0x80 || is_newer_than_the_library(character.code)) {
      codes.push_back(static_cast<utf8proc_int32_t>(character.code));
      continue;
    }
    utf8proc_int32_t parts[kLongest];
    const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character.code),
                                                           parts, kLongest, options, nullptr);
    REPRISE_CHECK(count >= 0 && count <= kLongest, "utf8proc decomposed U+{:04X} into {} characters",
                  static_cast<uint32_t>(character.code), count);
    codes.insert(codes.end(), parts, parts + count);
  }
  order_marks(codes);
  if (compose) compose_between_newer_marks(codes);
  std::string out;
  out.reserve(text.size() + 16);
  for (const utf8proc_int32_t code : codes) append_utf8(out, static_cast<char32_t>(code));
  return out;
}

}  // namespace reprise::tokenizer

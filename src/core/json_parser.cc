// parse_json: RFC 8259, with the extensions and limits of JsonLimits. An own parser because the one of
// nlohmann's library neither keeps integers beyond 64 bits nor takes NaN, and because its ordered object
// searches all keys for each new one.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/seeded_hash.h"

namespace reprise {
namespace {

constexpr uint64_t kBigInteger = 0x42494749;  // subtype of the binary values that hold digits

using Members = std::vector<std::pair<std::string, Json>>;

// Places of keys among the members of one object. Few keys are compared one by one, more are hashed: open
// addressing, at most half full.
class KeyPlaces {
 public:
  // The place of `key`; members.size() when it is new, which the caller then appends.
  size_t find_or_add(const Members& members, std::string_view key) {
    if (members.size() < kFew) {
      size_t i = 0;
      while (i < members.size() && members[i].first != key) ++i;
      return i;
    }
    if (2 * (members.size() + 1) > slots_.size()) rebuild(members);
    uint32_t& slot = slot_of(members, key);
    if (slot != 0) return slot - 1;
    slot = static_cast<uint32_t>(members.size()) + 1;
    return members.size();
  }

 private:
  static constexpr size_t kFew = 16;

  void rebuild(const Members& members) {
    slots_.assign(std::max<size_t>(8 * kFew, 2 * slots_.size()), 0);
    for (size_t i = 0; i < members.size(); ++i)
      slot_of(members, members[i].first) = static_cast<uint32_t>(i) + 1;
  }

  uint32_t& slot_of(const Members& members, std::string_view key) {
    size_t at = SeededHash{}(key) & (slots_.size() - 1);
    while (slots_[at] != 0 && members[slots_[at] - 1].first != key) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  std::vector<uint32_t> slots_;  // place + 1; 0: empty. The size is a power of two.
};

// Bytes of the UTF-8 character that begins at `at`, 0 when it is not valid (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0u) == 0x80u; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned least = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned most = first == 0xed ? 0x9f : 0xbf;
    return byte(1) >= least && byte(1) <= most && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned least = first == 0xf0 ? 0x90 : 0x80;
    const unsigned most = first == 0xf4 ? 0x8f : 0xbf;
    return byte(1) >= least && byte(1) <= most && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Whether a number that does not fit a double is too large rather than too small: the power of ten of its
// first digit that is not zero.
bool overflows(std::string_view number) {
  int64_t power = 0;  // of the first significant digit, plus 1
  bool significant = false, fraction = false;
  size_t i = number.front() == '-' ? 1 : 0;
  for (; i < number.size() && number[i] != 'e' && number[i] != 'E'; ++i) {
    if (number[i] == '.') {
      fraction = true;
      continue;
    }
    significant = significant || number[i] != '0';
    if (significant && !fraction) ++power;
    if (!significant && fraction) --power;
  }
  if (i == number.size()) return power > 0;
  ++i;
  const bool negative = number[i] == '-';
  if (number[i] == '-' || number[i] == '+') ++i;
  int64_t exponent = 0;
  for (; i < number.size(); ++i)
    if (exponent < INT64_MAX / 20) exponent = 10 * exponent + (number[i] - '0');
  return power + (negative ? -exponent : exponent) > 0;
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view what, const JsonLimits& limits)
      : text_(text), what_(what), limits_(limits) {
    if (text.size() > limits.max_bytes)
      throw Error("{}: {} bytes of JSON, at most {} are accepted here", what, text.size(), limits.max_bytes);
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
  }

  Json parse() {
    Json root;
    value(root, 0);
    blanks();
    if (at_ < text_.size()) fail("something follows the value");
    return root;
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    size_t line = 1, begin = 0;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i)
      if (text_[i] == '\n') {
        ++line;
        begin = i + 1;
      }
    throw Error("{}: malformed JSON at line {}, column {}: {}", what_, line, at_ - begin + 1,
                at_ >= text_.size() ? "the text ends too early" : why);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  // Whether `word` comes next; moves past it.
  bool took(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  // The value goes straight to its place: moving or copying what is nested would cost its size at every
  // level.
  void value(Json& out, int depth) {
    blanks();
    switch (peek()) {
      case '{':
        return object(out, depth);
      case '[':
        return array(out, depth);
      case '"':
        out = string();
        return;
      case 't':
        if (!took("true")) fail("expected true");
        out = true;
        return;
      case 'f':
        if (!took("false")) fail("expected false");
        out = false;
        return;
      case 'n':
        if (!took("null")) fail("expected null");
        return;
      default:
        return number(out);
    }
  }

  void open(int depth) {
    if (depth >= limits_.max_depth)
      throw Error("{}: JSON nested deeper than {}; flatten it", what_, limits_.max_depth);
    ++at_;
    blanks();
  }

  void array(Json& out, int depth) {
    open(depth);
    out = Json::array();
    auto& items = out.get_ref<Json::array_t&>();
    if (took("]")) return;
    while (true) {
      value(items.emplace_back(), depth + 1);
      blanks();
      if (took("]")) return;
      if (!took(",")) fail("expected ',' or ']'");
    }
  }

  void object(Json& out, int depth) {
    open(depth);
    out = Json::object();
    if (took("}")) return;
    Members members;
    KeyPlaces places;
    while (true) {
      blanks();
      if (peek() != '"') fail("expected a key in quotes");
      std::string key = string();
      blanks();
      if (!took(":")) fail("expected ':'");
      const size_t place = places.find_or_add(members, key);
      if (place == members.size()) {
        if (place >= limits_.max_keys_per_object)
          throw Error("{}: an object has more than {} keys, the most that is accepted here", what_,
                      limits_.max_keys_per_object);
        members.emplace_back(std::move(key), nullptr);
      } else {
        if (limits_.unique_keys)
          throw Error("{} \"{}\" is given twice; keep one", what_, std::string_view(key).substr(0, 200));
        members[place].second = nullptr;
      }
      value(members[place].second, depth + 1);
      blanks();
      if (took("}")) break;
      if (!took(",")) fail("expected ',' or '}'");
    }
    // Reserved first: the library's own container copies all that is below it when it grows (its keys are
    // const).
    Json::object_t::Container& target = out.get_ref<Json::object_t&>();
    target.reserve(members.size());
    for (auto& [key, member] : members) target.emplace_back(std::move(key), std::move(member));
  }

  std::string string() {
    ++at_;  // the quote
    std::string out;
    while (true) {
      size_t end = at_;
      while (end < text_.size()) {
        const auto c = static_cast<unsigned char>(text_[end]);
        if (c == '"' || c == '\\' || c < 0x20) break;
        const size_t length = utf8_length(text_, end);
        if (length == 0) {
          at_ = end;
          fail("invalid UTF-8");
        }
        end += length;
      }
      out.append(text_, at_, end - at_);
      at_ = end;
      if (took("\"")) return out;
      if (peek() != '\\') fail("a control character in a string must be written as \\u00XX");
      ++at_;
      escape(out);
    }
  }

  void escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kCodes = "\"\\/\b\f\n\r\t";
    const char name = peek();
    if (name == 'u') {
      ++at_;
      uint32_t code = four_digits();
      if (code >= 0xdc00 && code <= 0xdfff) fail("the second half of a surrogate pair stands alone");
      if (code >= 0xd800 && code <= 0xdbff) {
        const uint32_t low = took("\\u") ? four_digits() : 0;
        if (low < 0xdc00 || low > 0xdfff) fail("the first half of a surrogate pair stands alone");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      }
      append_utf8(out, code);
      return;
    }
    const size_t place = name == '\0' ? kNames.npos : kNames.find(name);
    if (place == kNames.npos) fail("unknown escape in a string");
    out += kCodes[place];
    ++at_;
  }

  uint32_t four_digits() {
    uint32_t code = 0;
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() != 4 || error != std::errc{} || end != digits.data() + 4)
      fail("expected four digits after \\u");
    at_ += 4;
    return code;
  }

  void digits() {
    if (!is_digit(peek())) fail("expected a digit");
    while (is_digit(peek())) ++at_;
  }

  void number(Json& out) {
    const size_t begin = at_;
    if (limits_.nonfinite) {
      if (took("NaN")) return void(out = std::nan(""));
      if (took("Infinity")) return void(out = HUGE_VAL);
      if (took("-Infinity")) return void(out = -HUGE_VAL);
    }
    if (peek() == '-')
      ++at_;
    else if (!is_digit(peek()))
      fail("expected a value");
    if (peek() == '0')
      ++at_;
    else
      digits();
    bool integer = true;
    if (took(".")) {
      integer = false;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      integer = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
    const std::string_view written = text_.substr(begin, at_ - begin);
    if (!integer || !whole(out, written)) real(out, written);
  }

  // False: more than 64 bits, and not asked to keep them.
  bool whole(Json& out, std::string_view written) const {
    const char* const last = written.data() + written.size();
    int64_t with_sign = 0;
    uint64_t without = 0;
    if (written.front() == '-') {
      if (std::from_chars(written.data(), last, with_sign).ec == std::errc{}) {
        out = with_sign;
        return true;
      }
    } else if (std::from_chars(written.data(), last, without).ec == std::errc{}) {
      out = without;
      return true;
    }
    if (!limits_.exact_integers) return false;
    out = Json::binary({written.begin(), written.end()}, kBigInteger);
    return true;
  }

  void real(Json& out, std::string_view written) {
    constexpr size_t kShownDigits = 40;
    double number = 0;
    const auto result = std::from_chars(written.data(), written.data() + written.size(), number);
    if (result.ec == std::errc::result_out_of_range) {
      number = overflows(written) ? HUGE_VAL : 0.0;
      if (written.front() == '-') number = -number;
      if (std::isinf(number) && !limits_.nonfinite) {
        at_ -= written.size();
        fail(fmt::format("the number {} is too large", written.substr(0, kShownDigits)));
      }
    }
    out = number;
  }

  std::string_view text_;
  std::string_view what_;
  const JsonLimits& limits_;
  size_t at_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  return Parser(text, what, limits).parse();
}

std::optional<std::string_view> big_integer_digits(const Json& value) {
  if (!value.is_binary()) return std::nullopt;
  const Json::binary_t& bytes = value.get_binary();
  if (!bytes.has_subtype() || bytes.subtype() != kBigInteger) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace reprise

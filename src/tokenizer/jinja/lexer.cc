#include "tokenizer/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/jinja/strings.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

// \r\n and \r become \n; one newline at the end goes (keep_trailing_newline is off).
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  return out;
}

bool all_space(std::string_view text) {
  return strip(text, nullptr, true, false).empty();
}

std::string describe(std::string_view source, size_t position) {
  size_t end = position;
  decode_point(source, end);
  return std::string(source.substr(position, end - position));
}

// Decodes the body of a string literal as Python's "unicode-escape".
class StringDecoder {
 public:
  StringDecoder(std::string_view body, int line) : body_(body), line_(line) {}

  std::string run() {
    while (position_ < body_.size()) {
      char c = body_[position_++];
      if (c != '\\')
        out_ += c;
      else
        escape();
    }
    return std::move(out_);
  }

 private:
  void escape() {
    constexpr std::string_view kPlain = "\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";  // letter, character
    char32_t point = decode_point(body_, position_);
    if (point == '\n') return;
    for (size_t i = 0; i < kPlain.size(); i += 2)
      if (point == static_cast<char32_t>(kPlain[i])) return append(static_cast<char32_t>(kPlain[i + 1]));
    if (point == 'x' || point == 'u' || point == 'U')
      return append(hex(point == 'x' ? 2 : point == 'u' ? 4 : 8));
    if (point == 'N') fail_at(line_, "\\N{{...}} escapes are not supported, write \\u and the code point");
    if (point >= '0' && point <= '7') {
      char32_t value = point - '0';
      for (int i = 0; i < 2 && position_ < body_.size() && body_[position_] >= '0' && body_[position_] <= '7';
           ++i)
        value = value * 8 + static_cast<char32_t>(body_[position_++] - '0');
      return append(value);
    }
    out_ += '\\';
    // jinja2 escapes non-ASCII before it decodes, so the backslash meets "xe9" instead of the letter.
    if (point < 0x80)
      append(point);
    else
      out_ += escape_of(point).substr(1);
  }

  char32_t hex(int digits) {
    size_t available = std::min(body_.size() - position_, static_cast<size_t>(digits));
    uint32_t value = 0;
    const char* end = body_.data() + position_ + available;
    auto [stop, error] = std::from_chars(body_.data() + position_, end, value, 16);
    if (available < static_cast<size_t>(digits) || stop != end)
      fail_at(line_, "truncated \\{} escape in a string",
              digits == 2   ? "xXX"
              : digits == 4 ? "uXXXX"
                            : "UXXXXXXXX");
    position_ += available;
    return value;
  }

  void append(char32_t point) {
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      fail_at(line_, "the escape for U+{:04X} is not a character", static_cast<uint32_t>(point));
    append_utf8(out_, point);
  }

  std::string_view body_;
  int line_;
  size_t position_ = 0;
  std::string out_;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {
    if (source_.ends_with('\n')) source_.pop_back();
  }

  std::vector<Token> run() {
    while (position_ < source_.size()) lex_data();
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest(size_t from) const { return std::string_view(source_).substr(from); }
  bool at(std::string_view text) const { return rest(position_).starts_with(text); }

  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }

  void advance(size_t to) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(position_),
                                         source_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    if (to > position_) line_starting_ = source_[to - 1] == '\n';
    position_ = to;
  }

  size_t skip_space(size_t from) const {
    std::string_view tail = rest(from);
    return from + (tail.size() - strip(tail, nullptr, true, false).size());
  }

  // Text up to the next tag, then the tag.
  void lex_data() {
    size_t begin = position_, tag = begin;
    while (true) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push_data(rest(begin));
        return advance(source_.size());
      }
      char c = source_[tag + 1];
      if (c == '{' || c == '%' || c == '#') break;
      ++tag;
    }
    char kind = source_[tag + 1], sign = sign_at(tag + 2);
    size_t after = tag + 2 + (sign != '\0');
    push_text_before(tag, sign, kind != '{');
    size_t raw_end = kind == '%' ? raw_begin_end(after) : 0;
    advance(raw_end ? raw_end : after);
    if (raw_end)
      lex_raw();
    else if (kind == '#')
      lex_comment();
    else
      lex_tag(kind == '%');
  }

  // The - or + behind the opening of a tag, or nothing.
  char sign_at(size_t position) const {
    char c = position < source_.size() ? source_[position] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  // The text up to a tag, trimmed as its sign says; without one, lstrip_blocks holds for all tags but prints.
  void push_text_before(size_t tag, char sign, bool lstrip) {
    std::string_view text = std::string_view(source_).substr(position_, tag - position_);
    if (sign == '-')
      text = strip(text, nullptr, false, true);
    else if (sign == '\0' && lstrip)
      text = strip_line_start(text);
    push_data(text);
  }

  void push_data(std::string_view text) {
    if (text.empty()) return;
    push(TokenKind::kData, std::string(text));
  }

  // lstrip_blocks: drops the whitespace between the start of the tag's line and the tag.
  std::string_view strip_line_start(std::string_view text) const {
    size_t newline = text.rfind('\n');
    size_t line = newline == text.npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return text;
    return all_space(text.substr(line)) ? text.substr(0, line) : text;
  }

  // The end of "raw %}" behind "{%", or 0 when another tag stands there.
  size_t raw_begin_end(size_t after) const {
    size_t name = skip_space(after);
    if (!rest(name).starts_with("raw")) return 0;
    size_t end = skip_space(name + 3);
    if (rest(end).starts_with("-%}")) return skip_space(end + 3);
    return rest(end).starts_with("%}") ? end + 2 : 0;
  }

  // The end of a closing tag with its trimming, or 0: "+%}" keeps, "-%}" strips, "%}" drops one newline.
  size_t block_end(size_t from, std::string_view close) const {
    std::string_view tail = rest(from);
    if (tail.starts_with('+') && tail.substr(1).starts_with(close)) return from + 1 + close.size();
    if (tail.starts_with('-') && tail.substr(1).starts_with(close))
      return skip_space(from + 1 + close.size());
    if (!tail.starts_with(close)) return 0;
    size_t end = from + close.size();
    return end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  void lex_comment() {
    size_t end = source_.find("#}", position_);
    if (end == std::string::npos) fail_at(line_, "Missing end of comment tag");
    size_t close = end > position_ && (source_[end - 1] == '-' || source_[end - 1] == '+') ? end - 1 : end;
    advance(block_end(close, "#}"));
  }

  void lex_raw() {
    for (size_t tag = position_; (tag = source_.find("{%", tag)) != std::string::npos; ++tag) {
      char sign = sign_at(tag + 2);
      size_t name = skip_space(tag + 2 + (sign != '\0'));
      if (!rest(name).starts_with("endraw")) continue;
      size_t end = block_end(skip_space(name + 6), "%}");
      if (!end) continue;
      push_text_before(tag, sign, true);
      return advance(end);
    }
    fail_at(line_, "Missing end of raw directive");
  }

  void lex_tag(bool block) {
    push(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "");
    std::string open;  // brackets to close
    while (position_ < source_.size()) {
      if (open.empty()) {
        if (size_t end = tag_end(block)) {
          push(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
          return advance(end);
        }
      }
      lex_code(open);
    }
  }

  size_t tag_end(bool block) const {
    if (block) return block_end(position_, "%}");
    if (at("-}}")) return skip_space(position_ + 3);
    return at("}}") ? position_ + 2 : 0;
  }

  void lex_code(std::string& open) {
    size_t next = skip_space(position_);
    if (next > position_) return advance(next);
    unsigned char c = static_cast<unsigned char>(source_[position_]);
    if (c >= '0' && c <= '9') return lex_number();
    if (c == '\'' || c == '"') return lex_string(static_cast<char>(c));
    if (c >= 0x80 || c == '_' || isalpha(c)) return lex_name();
    lex_operator(open);
  }

  // The end of digits with single underscores between them.
  size_t digits_end(size_t from) const {
    auto is_digit = [&](size_t i) { return i < source_.size() && source_[i] >= '0' && source_[i] <= '9'; };
    size_t end = from;
    while (is_digit(end) ||
           (end > from && source_[end - 1] != '_' && rest(end).starts_with('_') && is_digit(end + 1)))
      ++end;
    return end;
  }

  // Decimal integers and floats; 0x1F and the like are not known. Behind a dot only digits count (list.0).
  void lex_number() {
    size_t end = digits_end(position_);
    bool after_dot = position_ > 0 && source_[position_ - 1] == '.', is_float = false;
    if (!after_dot && rest(end).starts_with('.') && digits_end(end + 1) > end + 1) {
      end = digits_end(end + 1);
      is_float = true;
    }
    if (!after_dot && end < source_.size() && (source_[end] | 0x20) == 'e') {
      bool sign = rest(end + 1).starts_with('+') || rest(end + 1).starts_with('-');
      size_t exponent = end + 1 + sign;
      if (digits_end(exponent) > exponent) {
        end = digits_end(exponent);
        is_float = true;
      }
    }
    std::string text = source_.substr(position_, end - position_);
    if (!is_float && text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != text.npos)
      fail_at(line_, "the number {} begins with 0", text);
    if (!is_float && text == "0" && end < source_.size() &&
        std::string_view("xXoObB").find(source_[end]) != std::string_view::npos)
      fail_at(line_, "the number {}{}... is not supported, only decimal numbers are", text, source_[end]);
    std::erase(text, '_');
    push(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::move(text));
    advance(end);
  }

  void lex_string(char mark) {
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != mark) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) fail_at(line_, "unexpected char '{}' at {}", mark, position_);
    push(TokenKind::kString,
         StringDecoder(std::string_view(source_).substr(position_ + 1, end - position_ - 1), line_).run());
    advance(end + 1);
  }

  void lex_name() {
    size_t end = position_;
    bool first = true;
    while (end < source_.size()) {
      size_t next = end;
      char32_t point = decode_point(source_, next);
      if (!is_word(point) || (first && point >= '0' && point <= '9')) break;
      first = false;
      end = next;
    }
    if (end == position_)
      fail_at(line_, "unexpected char '{}' at {}", describe(source_, position_), position_);
    push(TokenKind::kName, source_.substr(position_, end - position_));
    advance(end);
  }

  void lex_operator(std::string& open) {
    constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                               "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                               ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    auto it = std::find_if(std::begin(kOperators), std::end(kOperators),
                           [&](std::string_view op) { return at(op); });
    if (it == std::end(kOperators))
      fail_at(line_, "unexpected char '{}' at {}", describe(source_, position_), position_);
    std::string_view op = *it;
    if (op == "(") open += ')';
    if (op == "[") open += ']';
    if (op == "{") open += '}';
    if (op == ")" || op == "]" || op == "}") {
      if (open.empty()) fail_at(line_, "unexpected '{}'", op);
      if (open.back() != op[0]) fail_at(line_, "unexpected '{}', expected '{}'", op, open.back());
      open.pop_back();
    }
    push(TokenKind::kOperator, std::string(op));
    advance(position_ + op.size());
  }

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string shortened(std::string message) {
  constexpr size_t kMaxMessage = 2000;
  if (message.size() <= kMaxMessage) return message;
  size_t end = kMaxMessage;
  while ((static_cast<unsigned char>(message[end]) & 0xC0) == 0x80) --end;
  return message.substr(0, end) + "...";
}

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace reprise::tokenizer::jinja

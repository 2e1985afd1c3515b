// printf-style formatting: str % values.
#include <cctype>
#include <cmath>

#include "tokenizer/template/format.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr int kMaxWidth = 1 << 20;

struct Conversion {
  bool left = false, plus = false, space = false, alternate = false, zero = false;
  int width = 0;
  int precision = -1;
  char type = 's';
};

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& arguments)
      : runtime_(runtime),
        format_(format.text()),
        markup_(format.is_markup()),
        arguments_(arguments),
        out_(runtime) {
    is_tuple_ = arguments.is(Kind::kTuple);
    // What Python's PyMapping_Check takes: anything with subscripts except tuple and str.
    is_mapping_ = arguments.is(Kind::kDict) || arguments.is(Kind::kList) || arguments.is(Kind::kRange) ||
                  arguments.is_undefined();
  }

  Value run() {
    while (position_ < format_.size()) {
      char c = format_[position_++];
      if (c == '%')
        convert();
      else
        out_.append(c);
    }
    bool all_used =
        is_tuple_ ? next_ == arguments_.items().size() : (next_ > 0 || used_mapping_ || is_mapping_);
    if (!all_used) runtime_.fail("not all arguments converted during string formatting");
    return runtime_.string(out_.take(), markup_);
  }

 private:
  char take() {
    if (position_ >= format_.size()) runtime_.fail("incomplete format");
    return format_[position_++];
  }

  const Value& next_argument() {
    if (is_tuple_ ? next_ >= arguments_.items().size() : next_ > 0)
      runtime_.fail("not enough arguments for format string");
    return is_tuple_ ? arguments_.items()[next_++] : (next_++, arguments_);
  }

  int parse_number(char& c, const char* what) {
    if (c == '*') {
      const Value& value = next_argument();
      if (!value.is_integral()) runtime_.fail("* wants int");
      if (value.as_int() > kMaxWidth || value.as_int() < -kMaxWidth) runtime_.fail("{} too big", what);
      c = take();
      return static_cast<int>(value.as_int());
    }
    int number = 0;
    while (c >= '0' && c <= '9') {
      number = number * 10 + (c - '0');
      if (number > kMaxWidth) runtime_.fail("{} too big", what);
      c = take();
    }
    return number;
  }

  // %(name): the value of that key replaces the next argument.
  const Value* parse_key(char& c) {
    if (c != '(') return nullptr;
    if (!is_mapping_) runtime_.fail("format requires a mapping");
    size_t begin = position_;
    for (int level = 1; level > 0;) {
      c = take();
      level += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    key_value_ =
        subscript(runtime_, arguments_, runtime_.string(format_.substr(begin, position_ - begin - 1)));
    if (key_value_.is(Kind::kMissing))
      runtime_.fail("KeyError: {}", quote(format_.substr(begin, position_ - begin - 1)));
    used_mapping_ = true;
    c = take();
    return &key_value_;
  }

  void convert() {
    char c = take();
    if (c == '%') return out_.append('%');
    Conversion conversion;
    const Value* value = parse_key(c);
    for (bool flags = true; flags;) {
      switch (c) {
        case '-':
          conversion.left = true;
          break;
        case '+':
          conversion.plus = true;
          break;
        case ' ':
          conversion.space = true;
          break;
        case '#':
          conversion.alternate = true;
          break;
        case '0':
          conversion.zero = true;
          break;
        default:
          flags = false;
          continue;
      }
      c = take();
    }
    conversion.width = parse_number(c, "width");
    if (conversion.width < 0) {
      conversion.left = true;
      conversion.width = -conversion.width;
    }
    if (c == '.') {
      c = take();
      conversion.precision = std::max(0, parse_number(c, "precision"));
    }
    if (c == 'h' || c == 'l' || c == 'L') c = take();
    conversion.type = c;
    if (c == '%') return out_.append('%');
    if (!value) value = &next_argument();
    emit(conversion, *value);
  }

  void emit(const Conversion& conversion, const Value& value) {
    switch (conversion.type) {
      case 's':
      case 'r':
      case 'a':
        return emit_text(conversion, textual(conversion.type, value));
      case 'c':
        return emit_text(conversion, character(value));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return emit_integer(conversion, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return emit_float(conversion, value);
      default:
        runtime_.fail("unsupported format character '{}'", conversion.type);
    }
  }

  std::string textual(char type, const Value& value) {
    if (type == 'a') return to_ascii(runtime_, value);
    if (type == 's') return markup_ ? escaped_text(runtime_, value) : to_str(runtime_, value);
    std::string text = to_repr(runtime_, value);
    return markup_ ? escape_html(runtime_, text) : text;
  }

  std::string character(const Value& value) {
    if (value.is_string() && value.string().length == 1) return value.text();
    if (!value.is_integral()) runtime_.fail("%c requires int or char");
    int64_t point = value.as_int();
    if (point < 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
      runtime_.fail("%c arg not in range(0x110000)");
    std::string text;
    append_point(text, static_cast<char32_t>(point));
    return text;
  }

  void emit_text(const Conversion& conversion, std::string text) {
    if (conversion.precision >= 0) text.resize(byte_offset(text, static_cast<size_t>(conversion.precision)));
    pad(conversion, "", text, false);
  }

  void emit_integer(const Conversion& conversion, const Value& value) {
    if (value.is_undefined()) runtime_.fail("{}", value.text());
    bool decimal = conversion.type == 'd' || conversion.type == 'i' || conversion.type == 'u';
    if (!value.is_integral() && !(decimal && value.is(Kind::kFloat)))
      runtime_.fail("%{} format: a real number is required, not {}", conversion.type, type_name(value));
    if (value.is(Kind::kFloat) && !(std::fabs(value.as_double()) < 9.2e18))
      runtime_.fail("cannot convert float {} to a 64-bit integer", float_repr(value.as_double()));
    int64_t number =
        value.is(Kind::kFloat) ? static_cast<int64_t>(std::trunc(value.as_double())) : value.as_int();
    uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    std::string digits, prefix = sign(conversion, number < 0);
    switch (conversion.type) {
      case 'x':
        digits = fmt::format("{:x}", magnitude);
        if (conversion.alternate) prefix += "0x";
        break;
      case 'X':
        digits = fmt::format("{:X}", magnitude);
        if (conversion.alternate) prefix += "0X";
        break;
      case 'o':
        digits = fmt::format("{:o}", magnitude);
        if (conversion.alternate) prefix += "0o";
        break;
      default:
        digits = std::to_string(magnitude);
    }
    if (conversion.precision > static_cast<int>(digits.size()))
      digits.insert(0, static_cast<size_t>(conversion.precision) - digits.size(), '0');
    pad(conversion, prefix, digits, conversion.zero);
  }

  void emit_float(const Conversion& conversion, const Value& value) {
    if (value.is_undefined()) runtime_.fail("{}", value.text());
    if (!value.is_number()) runtime_.fail("must be real number, not {}", type_name(value));
    double number = value.as_double();
    int precision = conversion.precision < 0 ? 6 : conversion.precision;
    std::string digits = float_digits(runtime_, number, conversion.type, precision, conversion.alternate);
    pad(conversion, sign(conversion, std::signbit(number) && !std::isnan(number)), digits, conversion.zero);
  }

  std::string sign(const Conversion& conversion, bool negative) {
    return negative ? "-" : conversion.plus ? "+" : conversion.space ? " " : "";
  }

  void pad(const Conversion& conversion, const std::string& prefix, const std::string& body, bool zeros) {
    size_t length = count_points(body) + prefix.size();
    size_t width = static_cast<size_t>(conversion.width);
    size_t fill = width > length ? width - length : 0;
    if (!conversion.left && !zeros) out_.append(fill, ' ');
    out_.append(prefix);
    if (!conversion.left && zeros) out_.append(fill, '0');
    out_.append(body);
    if (conversion.left) out_.append(fill, ' ');
  }

  Runtime& runtime_;
  std::string format_;
  bool markup_;
  Value arguments_;
  bool is_tuple_ = false, is_mapping_ = false, used_mapping_ = false;
  size_t position_ = 0;
  size_t next_ = 0;
  Value key_value_;
  TextBuilder out_;
};

}  // namespace

Value percent_format(Runtime& runtime, const Value& format, const Value& arguments) {
  return PercentFormatter(runtime, format, arguments).run();
}

}  // namespace reprise::tokenizer::jinja

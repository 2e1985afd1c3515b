// printf-style formatting: str % values.
#include <algorithm>
#include <cmath>

#include "tokenizer/template/format.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"

namespace reprise::tokenizer::jinja {
namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& format, const Value& arguments)
      : runtime_(runtime), format_(format.marked()), arguments_(arguments), out_(runtime) {
    is_tuple_ = arguments.is(Kind::kTuple);
    // What Python's PyMapping_Check takes: anything with subscripts except tuple and str.
    is_mapping_ = arguments.is(Kind::kDict) || arguments.is(Kind::kList) || arguments.is(Kind::kRange) ||
                  arguments.is_undefined();
  }

  Value run() {
    runtime_.step_bytes(format_.size());
    while (position_ < format_.size()) {
      size_t end = std::min(format_.text().find('%', position_), format_.size());
      out_.append(format_.substr(position_, end - position_));
      position_ = end + 1;
      if (end < format_.size()) convert();
    }
    bool all_used =
        is_tuple_ ? next_ == arguments_.items().size() : (next_ > 0 || used_mapping_ || is_mapping_);
    if (!all_used) runtime_.fail("not all arguments converted during string formatting");
    return runtime_.string(out_.take());
  }

 private:
  char take() {
    if (position_ >= format_.size()) runtime_.fail("incomplete format");
    return format_.text()[position_++];
  }

  const Value& next_argument() {
    if (is_tuple_ ? next_ >= arguments_.items().size() : next_ > 0)
      runtime_.fail("not enough arguments for format string");
    return is_tuple_ ? arguments_.items()[next_++] : (next_++, arguments_);
  }

  int64_t parse_number(char& c, const char* what) {
    if (c == '*') {
      const Value& value = next_argument();
      if (!value.is_integral()) runtime_.fail("* wants int");
      if (value.as_int() > kMaxFormatWidth || value.as_int() < -kMaxFormatWidth)
        runtime_.fail("{} too big", what);
      c = take();
      return value.as_int();
    }
    int64_t number = 0;
    while (c >= '0' && c <= '9') {
      number = number * 10 + (c - '0');
      if (number > kMaxFormatWidth) runtime_.fail("{} too big", what);
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
    Value name = runtime_.substring(format_.substr(begin, position_ - begin - 1));
    key_value_ = subscript(runtime_, arguments_, name);
    if (key_value_.is(Kind::kMissing)) runtime_.fail("KeyError: {}", quote(name.text()));
    used_mapping_ = true;
    c = take();
    return &key_value_;
  }

  void convert() {
    size_t begin = position_;
    char c = take();
    if (c == '%') return out_.append(format_.substr(begin, 1));
    FormatSpec spec;
    bool left = false;
    const Value* value = parse_key(c);
    for (;; c = take()) {
      if (c == '-')
        left = true;
      else if (c == '+')
        spec.sign = '+';
      else if (c == ' ' && !spec.sign)
        spec.sign = ' ';
      else if (c == '#')
        spec.alternate = true;
      else if (c == '0')
        spec.zero = true;
      else if (c != ' ')
        break;
    }
    spec.width = parse_number(c, "width");
    left = left || spec.width < 0;
    spec.width = std::abs(spec.width);
    spec.align = left ? '<' : '>';
    if (c == '.') {
      c = take();
      spec.precision = std::max<int64_t>(0, parse_number(c, "precision"));
    }
    if (c == 'h' || c == 'l' || c == 'L') c = take();
    spec.type = c;
    if (c == '%') return out_.append(format_.substr(position_ - 1, 1));
    if (!value) value = &next_argument();
    if (!format_.substr(begin, position_ - begin).any_marked()) return emit(out_, spec, *value);
    TextBuilder part(runtime_);
    emit(part, spec, *value);
    out_.append_as(part.take().text, true);
  }

  void emit(TextBuilder& out, FormatSpec& spec, const Value& value) {
    switch (spec.type) {
      case 's':
        return append_text(out, spec, to_str(runtime_, value).marked());
      case 'r':
        return append_text(out, spec, to_repr(runtime_, value).view());
      case 'a':
        return append_text(out, spec, to_ascii(runtime_, value).view());
      case 'c':
        if (value.is_string() && value.string().length == 1) return append_text(out, spec, value.marked());
        if (!value.is_integral()) runtime_.fail("%c requires int or char");
        return append_text(out, spec, character_text(runtime_, value.as_int()));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return emit_integer(out, spec, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.is_undefined()) runtime_.fail("{}", value.text());
        if (!value.is_number()) runtime_.fail("must be real number, not {}", type_name(value));
        fill_zeros(spec);
        return append_float(out, value.as_double(), spec);
      default:
        runtime_.fail("unsupported format character '{}'", spec.type);
    }
  }

  static void append_text(TextBuilder& out, const FormatSpec& spec, MarkedView text) {
    append_padded(out, spec, "", cut_text(text, spec), '>');
  }

  static void fill_zeros(FormatSpec& spec) {
    if (!spec.zero || spec.align == '<') return;
    spec.fill = "0";
    spec.align = '=';
  }

  void emit_integer(TextBuilder& out, FormatSpec& spec, const Value& value) {
    if (value.is_undefined()) runtime_.fail("{}", value.text());
    bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (!value.is_integral() && !(decimal && value.is(Kind::kFloat)))
      runtime_.fail("%{} format: a real number is required, not {}", spec.type, type_name(value));
    if (value.is(Kind::kFloat) && !(std::fabs(value.as_double()) < 9.2e18))
      runtime_.fail("cannot convert float {} to a 64-bit integer", float_repr(value.as_double()));
    int64_t number =
        value.is(Kind::kFloat) ? static_cast<int64_t>(std::trunc(value.as_double())) : value.as_int();
    std::string digits = integer_digits(number, spec.type);
    if (spec.precision > static_cast<int64_t>(digits.size()))
      digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
    fill_zeros(spec);
    append_padded(out, spec, sign_text(spec, number < 0) + (decimal ? "" : base_prefix(spec)), digits, '>');
  }

  Runtime& runtime_;
  MarkedView format_;
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

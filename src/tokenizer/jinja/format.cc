#include "tokenizer/jinja/format.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

// What a format asks for, in the words of the format mini-language; "%-5.2f" says the same in other signs.
struct FormatSpec {
  std::string fill = " ";  // one character
  char align = 0;          // < > ^, = between sign and digits; 0: as the type has it
  char sign = 0;           // + or space: shown before numbers that are not negative
  bool zero = false;       // a 0 before the width
  int64_t width = 0;       // code points
  int64_t precision = -1;  // absent
  char type = 0;           // absent
};
constexpr int64_t kMaxFormatWidth = 1 << 20;

// Reads the decimal number at text[i], if there is one, and moves behind it.
std::optional<int64_t> take_number(Runtime& runtime, std::string_view text, size_t& i) {
  size_t begin = i;
  int64_t number = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
    number = number * 10 + (text[i] - '0');
    if (number > kMaxFormatWidth) runtime.fail("format width or precision is over {}", kMaxFormatWidth);
  }
  if (i == begin) return std::nullopt;
  return number;
}

// `prefix` (a sign) and `body` filled up to the width.
void append_padded(TextBuilder& out, const FormatSpec& spec, std::string_view prefix, MarkedView body,
                   char default_align) {
  out.runtime().step_bytes(body.size());
  char align = spec.align ? spec.align : default_align;
  int64_t length = static_cast<int64_t>(prefix.size() + count_points(body.text()));
  int64_t fill = std::max<int64_t>(spec.width - length, 0);
  int64_t before = align == '>' ? fill : align == '^' ? fill / 2 : 0, middle = align == '=' ? fill : 0;
  auto append_fill = [&](int64_t count) {
    for (; count > 0; --count) out.append(spec.fill);
  };
  append_fill(before);
  out.append(prefix);
  append_fill(middle);
  out.append(body);
  append_fill(fill - before - middle);
}

void append_text(TextBuilder& out, const FormatSpec& spec, MarkedView text, char default_align) {
  if (spec.precision >= 0)
    text = text.substr(0, byte_offset(text.text(), static_cast<size_t>(spec.precision)));
  append_padded(out, spec, "", text, default_align);
}

void append_number(TextBuilder& out, const FormatSpec& spec, bool negative, std::string_view digits) {
  std::string sign = negative ? "-" : spec.sign == '+' || spec.sign == ' ' ? std::string(1, spec.sign) : "";
  append_padded(out, spec, sign, digits, '>');
}

// `value` is integral or beyond 64 bits.
void append_integer(TextBuilder& out, const FormatSpec& spec, const Value& value) {
  if (spec.precision >= 0) out.runtime().fail("Precision not allowed in integer format specifier");
  bool hexadecimal = spec.type == 'x' || spec.type == 'X';
  if (value.is(Kind::kBigInt)) {
    if (hexadecimal) out.runtime().fail("integer overflow: {} does not fit 64 bits", value.text());
    bool negative = value.text()[0] == '-';
    return append_number(out, spec, negative, std::string_view(value.text()).substr(negative));
  }
  int64_t number = value.as_int();
  uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string digits = !hexadecimal       ? std::to_string(magnitude)
                       : spec.type == 'x' ? fmt::format("{:x}", magnitude)
                                          : fmt::format("{:X}", magnitude);
  append_number(out, spec, number < 0, digits);
}

// With the type f, a fixed number of digits behind the point; without, the shortest that read back.
void append_float(TextBuilder& out, const FormatSpec& spec, double value) {
  double magnitude = std::fabs(value);
  std::string digits;
  if (spec.type == 0 || !std::isfinite(value)) {
    if (spec.type == 0 && spec.precision >= 0)
      out.runtime().fail("a precision of a float needs the type f, as in {{:.2f}}");
    digits = float_repr(magnitude);
  } else {
    int64_t precision = spec.precision < 0 ? 6 : spec.precision;
    out.runtime().reserve(static_cast<size_t>(precision) + 512);
    out.runtime().step(static_cast<uint64_t>(precision) / 8);
    digits.resize(static_cast<size_t>(precision) + 400);
    int length = snprintf(digits.data(), digits.size(), "%.*f", static_cast<int>(precision), magnitude);
    digits.resize(static_cast<size_t>(length));
  }
  append_number(out, spec, std::signbit(value) && !std::isnan(value), digits);
}

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

  Value next_argument() {
    if (is_tuple_ ? next_ >= arguments_.items().size() : next_ > 0)
      runtime_.fail("not enough arguments for format string");
    size_t i = next_++;
    return is_tuple_ ? arguments_.items()[i] : arguments_;
  }

  // (name) behind the percent sign: the value of that key.
  Value keyed_argument() {
    if (!is_mapping_) runtime_.fail("format requires a mapping");
    size_t begin = ++position_;
    while (take() != ')') {
    }
    Value name = runtime_.substring(format_.substr(begin, position_ - begin - 1));
    Value value = subscript(runtime_, arguments_, name);
    if (value.is(Kind::kMissing)) runtime_.fail("KeyError: {}", quote(name.text()));
    used_mapping_ = true;
    return value;
  }

  void convert() {
    size_t begin = position_;
    std::string_view text = format_.text();
    FormatSpec spec;
    spec.align = '>';
    Value value;
    if (text.substr(position_).starts_with('(')) value = keyed_argument();
    for (; position_ < text.size(); ++position_) {
      char flag = text[position_];
      if (flag == '-')
        spec.align = '<';
      else if (flag == '+' || (flag == ' ' && !spec.sign))
        spec.sign = flag;
      else if (flag == '0')
        spec.zero = true;
      else if (flag != ' ')
        break;
    }
    spec.width = take_number(runtime_, text, position_).value_or(0);
    if (text.substr(position_).starts_with('.'))
      spec.precision = take_number(runtime_, text, ++position_).value_or(0);
    spec.type = take();
    if (spec.type == '%') return out_.append(format_.substr(position_ - 1, 1));
    if (value.is(Kind::kMissing)) value = next_argument();
    if (!format_.substr(begin, position_ - begin).any_marked()) return emit(out_, spec, value);
    TextBuilder part(runtime_);
    emit(part, spec, value);
    out_.append_as(part.take().text, true);
  }

  void emit(TextBuilder& out, FormatSpec& spec, Value& value) {
    if (spec.type == 's') return append_text(out, spec, to_str(runtime_, value).marked(), '>');
    if (spec.type == 'r') return append_text(out, spec, to_repr(runtime_, value).view(), '>');
    if (std::string_view("difxX").find(spec.type) == std::string_view::npos)
      runtime_.fail("unsupported format character {}, chat templates know s, r, d, i, f, x and X",
                    quote(std::string_view(&spec.type, static_cast<unsigned char>(spec.type) < 0x80)));
    if (value.is_undefined()) runtime_.fail("{}", value.text());
    if (spec.zero && spec.align != '<') {
      spec.fill = "0";
      spec.align = '=';
    }
    if (spec.type == 'f') {
      if (!value.is_number()) runtime_.fail("must be real number, not {}", type_name(value));
      return append_float(out, spec, value.as_double());
    }
    bool decimal = spec.type == 'd' || spec.type == 'i';
    if (decimal && value.is(Kind::kFloat)) {
      if (!(std::fabs(value.as_double()) < 9.2e18))
        runtime_.fail("cannot convert float {} to a 64-bit integer", float_repr(value.as_double()));
      value = Value::integer(static_cast<int64_t>(value.as_double()));
    }
    if (!value.is_integral() && !value.is(Kind::kBigInt))
      runtime_.fail("%{} format: a number is required, not {}", spec.type, type_name(value));
    append_integer(out, spec, value);
  }

  Runtime& runtime_;
  MarkedView format_;
  Value arguments_;
  bool is_tuple_ = false, is_mapping_ = false, used_mapping_ = false;
  size_t position_ = 0;
  size_t next_ = 0;
  TextBuilder out_;
};

FormatSpec parse_spec(Runtime& runtime, std::string_view text) {
  FormatSpec spec;
  auto is_align = [&](size_t at) {
    return at < text.size() && std::string_view("<>=^").find(text[at]) != std::string_view::npos;
  };
  size_t i = 0, fill_end = text.empty() ? 0 : static_cast<size_t>(character_at(text, 0).length);
  if (is_align(fill_end)) {
    spec.fill = text.substr(0, fill_end);
    spec.align = text[fill_end];
    i = fill_end + 1;
  } else if (is_align(0)) {
    spec.align = text[i++];
  }
  if (i < text.size() && (text[i] == '+' || text[i] == '-' || text[i] == ' ')) spec.sign = text[i++];
  if (i < text.size() && text[i] == '0') {
    // A leading zero fills with zeros after the sign, unless fill or alignment were given.
    spec.zero = true;
    if (spec.align == 0) {
      spec.fill = "0";
      spec.align = '=';
    }
    ++i;
  }
  spec.width = take_number(runtime, text, i).value_or(0);
  if (i < text.size() && text[i] == '.') {
    spec.precision = take_number(runtime, text, ++i).value_or(-1);
    if (spec.precision < 0) runtime.fail("Format specifier missing precision");
  }
  if (i < text.size()) spec.type = text[i++];
  if (i < text.size() || (spec.type && std::string_view("sdfxX").find(spec.type) == std::string_view::npos))
    runtime.fail(
        "the format {} is not supported, chat templates know [[fill]align][sign][0][width][.precision] and "
        "the types s, d, f, x and X",
        quote(text));
  return spec;
}

// format(value, spec)
void append_formatted(TextBuilder& out, const Value& value, std::string_view spec_text) {
  Runtime& runtime = out.runtime();
  if (spec_text.empty()) return append_str(out, value);
  FormatSpec spec = parse_spec(runtime, spec_text);
  bool integral = value.is_integral() || value.is(Kind::kBigInt);
  if (value.is_string() ? spec.type && spec.type != 's'
                        : spec.type == 's' || (spec.type && spec.type != 'f' && !integral))
    runtime.fail("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
  if (value.is_string()) {
    if (spec.sign) runtime.fail("Sign not allowed in string format specifier");
    if (spec.align == '=' && !(spec.zero && spec.fill == "0"))
      runtime.fail("'=' alignment not allowed in string format specifier");
    if (spec.align == '=') spec.align = '<';
    return append_text(out, spec, value.marked(), '<');
  }
  if (value.is_number() && (spec.type == 'f' || value.is(Kind::kFloat)))
    return append_float(out, spec, value.as_double());
  if (!integral) runtime.fail("unsupported format string passed to {}.__format__", type_name(value));
  append_integer(out, spec, value);
}

// The fields of one format string.
class FieldFormatter {
 public:
  FieldFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  MarkedText run(MarkedView format) {
    runtime_.step_bytes(format.size());
    TextBuilder out(runtime_);
    std::string_view text = format.text();
    for (size_t i = 0; i < text.size();) {
      size_t brace = std::min(text.find_first_of("{}", i), text.size());
      bool doubled = brace + 1 < text.size() && text[brace + 1] == text[brace];
      out.append(format.substr(i, brace + doubled - i));
      i = brace + 1 + doubled;
      if (brace == text.size() || doubled) continue;
      if (text[brace] == '}') runtime_.fail("Single '}}' encountered in format string");
      size_t end = text.find_first_of("{}", i);
      if (end == text.npos) runtime_.fail("expected '}}' before end of string");
      if (text[end] == '{') runtime_.fail("a field inside a field of a format is not supported");
      MarkedView inner = format.substr(i, end - i);
      if (inner.any_marked()) {
        TextBuilder part(runtime_);
        field(part, inner.text());
        out.append_as(part.take().text, true);
      } else {
        field(out, inner.text());
      }
      i = end + 1;
    }
    return out.take();
  }

 private:
  // name, !conversion and :spec, each of which may be absent.
  void field(TextBuilder& out, std::string_view text) {
    size_t name_end = std::min(text.find_first_of("!:"), text.size());
    Value value = lookup(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (rest.starts_with('!')) {
      std::string_view conversion = rest.substr(1, 1);
      rest.remove_prefix(1 + conversion.size());
      if (!rest.empty() && rest[0] != ':') runtime_.fail("expected ':' after conversion specifier");
      if (conversion == "s")
        value = to_str(runtime_, value);
      else if (conversion == "r")
        value = runtime_.string(to_repr(runtime_, value));
      else
        runtime_.fail("Unknown conversion specifier in {}, expected !s or !r", quote(text));
    }
    if (!rest.empty()) rest.remove_prefix(1);
    append_formatted(out, value, rest);
  }

  Value lookup(std::string_view name) {
    if (name.find_first_of(".[") != name.npos)
      runtime_.fail("the field {} of a format is not a plain position or name", quote(name));
    bool is_index = name.size() < 10 && name.find_first_not_of("0123456789") == name.npos;
    if (is_index) {  // or empty
      if (name.empty() ? manual_ : automatic_)
        runtime_.fail("cannot switch between manual field specification and automatic field numbering");
      (name.empty() ? automatic_ : manual_) = true;
      size_t index = name.empty() ? next_++ : std::stoul(std::string(name));
      if (index >= arguments_.positional.size())
        runtime_.fail("Replacement index {} out of range for positional args tuple", index);
      return arguments_.positional[index];
    }
    runtime_.step(arguments_.named.size() / 8);
    for (const auto& [key, value] : arguments_.named)
      if (key.text == name) return value;
    runtime_.fail("KeyError: {}", quote(name));
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  size_t next_ = 0;
  bool manual_ = false, automatic_ = false;
};

}  // namespace

Value percent_format(Runtime& runtime, const Value& format, const Value& arguments) {
  return PercentFormatter(runtime, format, arguments).run();
}

Value format_fields(Runtime& runtime, const Value& format, Arguments& arguments) {
  return runtime.string(FieldFormatter(runtime, arguments).run(format.marked()));
}

}  // namespace reprise::tokenizer::jinja

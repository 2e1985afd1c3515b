// The format mini-language and str.format.
#include <cmath>
#include <cstdio>

#include "tokenizer/template/attributes.h"
#include "tokenizer/template/format.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;

struct Spec {
  char32_t fill = ' ';
  char align = 0;
  char sign = 0;
  bool alternate = false;
  bool zero = false;
  int64_t width = -1;
  char grouping = 0;
  int64_t precision = -1;
  char type = 0;
};

Spec parse_spec(Runtime& runtime, std::string_view text) {
  std::u32string points = to_points(text);
  size_t i = 0;
  Spec spec;
  auto is_align = [](char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  auto peek = [&]() -> char32_t { return i < points.size() ? points[i] : 0; };
  auto number = [&] {
    if (peek() < '0' || peek() > '9') return int64_t{-1};
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++i) {
      value = value * 10 + (peek() - '0');
      if (value > kMaxWidth) runtime.fail("format width or precision is over {}", kMaxWidth);
    }
    return value;
  };
  if (points.size() >= 2 && is_align(points[1])) {
    spec.fill = points[0];
    spec.align = static_cast<char>(points[1]);
    i = 2;
  } else if (is_align(peek())) {
    spec.align = static_cast<char>(points[i++]);
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = static_cast<char>(points[i++]);
  if (peek() == '#') {
    spec.alternate = true;
    ++i;
  }
  if (peek() == '0') {
    // A leading zero fills with zeros after the sign, unless fill or alignment were given.
    spec.zero = true;
    if (spec.align == 0) {
      spec.fill = '0';
      spec.align = '=';
    }
    ++i;
  }
  spec.width = number();
  if (peek() == ',' || peek() == '_') spec.grouping = static_cast<char>(points[i++]);
  if (peek() == ',' || peek() == '_') runtime.fail("Cannot specify both ',' and '_'.");
  if (peek() == '.') {
    ++i;
    spec.precision = number();
    if (spec.precision < 0) runtime.fail("Format specifier missing precision");
  }
  if (i + 1 < points.size()) runtime.fail("Invalid format specifier '{}'", text);
  if (i < points.size()) spec.type = points[i] < 0x80 ? static_cast<char>(points[i]) : '?';
  return spec;
}

// Commas every three digits (underscores every four for x, o and b).
std::string group_digits(const std::string& digits, char separator, size_t every, size_t min_width) {
  std::string out;
  size_t count = 0;
  for (size_t i = digits.size(); i-- > 0;) {
    if (count > 0 && count % every == 0) out += separator;
    out += digits[i];
    ++count;
  }
  // Zero padding is grouped as well.
  while (out.size() < min_width) {
    if (count % every == 0) {
      out += separator;
      if (out.size() >= min_width) {
        out += '0';
        break;
      }
    }
    out += '0';
    ++count;
  }
  return {out.rbegin(), out.rend()};
}

std::string pad(Runtime& runtime, const Spec& spec, const std::string& prefix, const std::string& body,
                char default_align) {
  char align = spec.align ? spec.align : default_align;
  size_t length = count_points(prefix) + count_points(body);
  size_t fill = spec.width > static_cast<int64_t>(length) ? static_cast<size_t>(spec.width) - length : 0;
  size_t before = align == '>' ? fill : align == '^' ? fill / 2 : 0;
  TextBuilder out(runtime);
  for (size_t i = 0; i < before; ++i) out.append_point(spec.fill);
  out.append(prefix);
  if (align == '=')
    for (size_t i = 0; i < fill; ++i) out.append_point(spec.fill);
  out.append(body);
  if (align == '<' || align == '^')
    for (size_t i = before; i < fill; ++i) out.append_point(spec.fill);
  return out.take();
}

std::string sign_text(const Spec& spec, bool negative) {
  return negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

[[noreturn]] void fail_type(Runtime& runtime, const Spec& spec, std::string_view type) {
  runtime.fail("Unknown format code '{}' for object of type '{}'", spec.type, type);
}

std::string format_text(Runtime& runtime, const Value& value, const Spec& spec) {
  if (spec.type && spec.type != 's') fail_type(runtime, spec, "str");
  if (spec.sign) runtime.fail("Sign not allowed in string format specifier");
  if (spec.alternate) runtime.fail("Alternate form (#) not allowed in string format specifier");
  if (spec.align == '=' && !(spec.zero && spec.fill == '0'))
    runtime.fail("'=' alignment not allowed in string format specifier");
  if (spec.grouping) runtime.fail("Cannot specify '{}' with 's'.", spec.grouping);
  std::string text = value.text();
  if (spec.precision >= 0) text.resize(byte_offset(text, static_cast<size_t>(spec.precision)));
  Spec plain = spec;
  if (spec.align == '=') plain.align = '<';
  return pad(runtime, plain, "", text, '<');
}

std::string format_float(Runtime& runtime, double number, Spec spec);

std::string format_integer(Runtime& runtime, int64_t number, Spec spec) {
  if (spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
    return format_float(runtime, static_cast<double>(number), spec);
  if (spec.precision >= 0) runtime.fail("Precision not allowed in integer format specifier");
  uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::string prefix = sign_text(spec, number < 0), digits;
  size_t every = 4;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'n':
      digits = std::to_string(magnitude);
      every = 3;
      break;
    case 'x':
      digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      digits = fmt::format("{:X}", magnitude);
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      break;
    case 'c': {
      if (spec.sign) runtime.fail("Sign not allowed with integer format specifier 'c'");
      if (spec.alternate) runtime.fail("Alternate form (#) not allowed with integer format specifier 'c'");
      if (number < 0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000))
        runtime.fail("%c arg not in range(0x110000)");
      std::string text;
      append_point(text, static_cast<char32_t>(number));
      return pad(runtime, spec, "", text, '>');
    }
    default:
      fail_type(runtime, spec, "int");
  }
  if (spec.grouping == ',' && every == 4) runtime.fail("Cannot specify ',' with '{}'.", spec.type);
  if (spec.grouping && spec.type == 'n') runtime.fail("Cannot specify '{}' with 'n'.", spec.grouping);
  if (spec.alternate && spec.type && spec.type != 'd' && spec.type != 'n') prefix += {'0', spec.type};
  if (spec.grouping) {
    bool zeros = spec.align == '=' && spec.fill == '0' && spec.width > static_cast<int64_t>(prefix.size());
    digits = group_digits(digits, spec.grouping, every,
                          zeros ? static_cast<size_t>(spec.width) - prefix.size() : 0);
  }
  return pad(runtime, spec, prefix, digits, '>');
}

std::string format_float(Runtime& runtime, double number, Spec spec) {
  bool negative = std::signbit(number) && !std::isnan(number);
  double magnitude = std::fabs(number);
  const int precision_or_6 = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  std::string digits;
  switch (spec.type) {
    case 0:
      if (spec.precision < 0) {
        digits = float_repr(magnitude);
      } else {
        // Like 'g', but with a digit after the point, and exponents from one digit earlier.
        int precision = static_cast<int>(std::max<int64_t>(spec.precision, 1));
        digits = float_digits(runtime, magnitude, 'g', precision, spec.alternate);
        size_t e = digits.find('e');
        if (std::isfinite(magnitude) && e == digits.npos && digits.find('.') == digits.npos) {
          if (static_cast<int>(digits.size()) == precision)
            digits = float_digits(runtime, magnitude, 'e', precision - 1, spec.alternate);
          else
            digits += ".0";
        }
        if (size_t mark = digits.find('e'); mark != digits.npos && digits.find('.') < mark) {
          size_t last = digits.find_last_not_of('0', mark - 1);
          if (digits[last] == '.') --last;
          digits.erase(last + 1, mark - last - 1);
        }
      }
      break;
    case '%':
      digits = float_digits(runtime, magnitude * 100, 'f', precision_or_6, spec.alternate) + "%";
      break;
    case 'n':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = float_digits(runtime, magnitude, spec.type == 'n' ? 'g' : spec.type, precision_or_6,
                            spec.alternate);
      break;
    default:
      fail_type(runtime, spec, "float");
  }
  std::string prefix = sign_text(spec, negative);
  if (spec.grouping) {
    if (spec.type == 'n') runtime.fail("Cannot specify '{}' with 'n'.", spec.grouping);
    size_t end = digits.find_first_not_of("0123456789");
    std::string whole = digits.substr(0, end), rest = end == digits.npos ? "" : digits.substr(end);
    bool zeros = spec.align == '=' && spec.fill == '0';
    int64_t room = spec.width - static_cast<int64_t>(prefix.size() + rest.size());
    digits = group_digits(whole, spec.grouping, 3, zeros && room > 0 ? static_cast<size_t>(room) : 0) + rest;
  }
  return pad(runtime, spec, prefix, digits, '>');
}

// string.Formatter over one format string; nested fields in a spec go one level down.
class FieldFormatter {
 public:
  FieldFormatter(Runtime& runtime, const Arguments& arguments, bool markup)
      : runtime_(runtime), arguments_(arguments), markup_(markup) {}

  std::string run(std::string_view format, int depth) {
    if (depth < 0) runtime_.fail("Max string recursion exceeded");
    TextBuilder out(runtime_);
    for (size_t i = 0; i < format.size();) {
      char c = format[i++];
      if (c == '{' || c == '}') {
        if (i < format.size() && format[i] == c) {
          out.append(c);
          ++i;
          continue;
        }
        if (c == '}') runtime_.fail("Single '}}' encountered in format string");
        size_t end = field_end(format, i);
        out.append(field(format.substr(i, end - i), depth));
        i = end + 1;
      } else {
        out.append(c);
      }
    }
    return out.take();
  }

 private:
  // The closing brace of the field that begins at `begin`; braces inside an index "[...]" don't count.
  size_t field_end(std::string_view format, size_t begin) {
    if (begin >= format.size()) runtime_.fail("Single '{{' encountered in format string");
    int level = 1;
    bool in_index = false;
    for (size_t i = begin; i < format.size(); ++i) {
      char c = format[i];
      if (in_index) {
        in_index = c != ']';
      } else if (c == '[') {
        in_index = true;
      } else if (c == '{') {
        ++level;
      } else if (c == '}' && --level == 0) {
        return i;
      }
    }
    runtime_.fail("expected '}}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    size_t name_end = 0;
    bool in_index = false;
    for (; name_end < text.size(); ++name_end) {
      char c = text[name_end];
      if (c == '[') in_index = true;
      if (c == ']') in_index = false;
      if (c == '{') runtime_.fail("unexpected '{{' in field name");
      if (!in_index && (c == '!' || c == ':')) break;
    }
    std::string_view name = text.substr(0, name_end), rest = text.substr(name_end);
    char conversion = 0;
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2) runtime_.fail("end of string while looking for conversion specifier");
      conversion = rest[1];
      rest.remove_prefix(2);
      if (!rest.empty() && rest[0] != ':') runtime_.fail("expected ':' after conversion specifier");
    }
    if (!rest.empty()) rest.remove_prefix(1);
    Value value = lookup(name);
    if (conversion == 's')
      value = runtime_.string(to_str(runtime_, value));
    else if (conversion == 'r')
      value = runtime_.string(to_repr(runtime_, value));
    else if (conversion == 'a')
      value = runtime_.string(to_ascii(runtime_, value));
    else if (conversion)
      runtime_.fail("Unknown conversion specifier {}", conversion);
    std::string spec = run(rest, depth - 1);
    if (!markup_) return format_value(runtime_, value, spec);
    if (value.is_markup() && !spec.empty()) runtime_.fail("Unsupported format specification for Markup.");
    return value.is_markup() ? value.text() : escape_html(runtime_, format_value(runtime_, value, spec));
  }

  Value lookup(std::string_view name) {
    size_t end = std::min(name.find_first_of(".["), name.size());
    std::string_view first = name.substr(0, end);
    Value value = root(first);
    for (size_t i = end; i < name.size();) {
      if (name[i] == '.') {
        size_t stop = std::min(name.find_first_of(".[", i + 1), name.size());
        if (stop == i + 1) runtime_.fail("Empty attribute in format string");
        value = get_attribute(runtime_, value, name.substr(i + 1, stop - i - 1));
        i = stop;
      } else if (name[i] == '[') {
        size_t stop = name.find(']', i);
        if (stop == name.npos) runtime_.fail("Missing ']' in format string");
        if (stop == i + 1) runtime_.fail("Empty attribute in format string");
        value = get_item(runtime_, value, key(name.substr(i + 1, stop - i - 1)));
        i = stop + 1;
      } else {
        runtime_.fail("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  static bool is_index(std::string_view text) {
    return !text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == text.npos;
  }

  Value key(std::string_view text) {
    return is_index(text) ? Value::integer(std::stoll(std::string(text)))
                          : runtime_.string(std::string(text));
  }

  Value root(std::string_view name) {
    if (name.empty() || is_index(name)) {
      if (name.empty() ? manual_ : automatic_)
        runtime_.fail("cannot switch between manual field specification and automatic field numbering");
      (name.empty() ? automatic_ : manual_) = true;
      size_t index = name.empty() ? next_++ : std::stoul(std::string(name));
      if (index >= arguments_.positional.size())
        runtime_.fail("Replacement index {} out of range for positional args tuple", index);
      return arguments_.positional[index];
    }
    for (const auto& [key, value] : arguments_.named)
      if (key == name) return value;
    runtime_.fail("KeyError: {}", quote(name));
  }

  Runtime& runtime_;
  const Arguments& arguments_;
  bool markup_;
  size_t next_ = 0;
  bool manual_ = false, automatic_ = false;
};

}  // namespace

std::string float_digits(Runtime& runtime, double value, char type, int precision, bool alternate) {
  bool upper = type >= 'A' && type <= 'Z';
  if (std::isnan(value)) return upper ? "NAN" : "nan";
  if (std::isinf(value)) return upper ? "INF" : "inf";
  runtime.reserve(static_cast<size_t>(precision) + 512);
  const char style[] = {
      '%', alternate ? '#' : '.', alternate ? '.' : '*', alternate ? '*' : type, alternate ? type : '\0',
      '\0'};
  std::string digits(static_cast<size_t>(precision) + 400, '\0');
  int length = snprintf(digits.data(), digits.size(), style, precision, std::fabs(value));
  digits.resize(static_cast<size_t>(length));
  return digits;
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view spec) {
  if (spec.empty()) return to_str(runtime, value);
  switch (value.kind()) {
    case Kind::kString:
      return format_text(runtime, value, parse_spec(runtime, spec));
    case Kind::kBool:
    case Kind::kInt:
      return format_integer(runtime, value.as_int(), parse_spec(runtime, spec));
    case Kind::kFloat:
      return format_float(runtime, value.as_double(), parse_spec(runtime, spec));
    default:
      runtime.fail("unsupported format string passed to {}.__format__", type_name(value));
  }
}

Value format_fields(Runtime& runtime, const Value& format, const Arguments& arguments) {
  FieldFormatter formatter(runtime, arguments, format.is_markup());
  return runtime.string(formatter.run(format.text(), 2), format.is_markup());
}

}  // namespace reprise::tokenizer::jinja

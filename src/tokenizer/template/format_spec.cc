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

FormatSpec parse_spec(Runtime& runtime, std::string_view text) {
  runtime.step_bytes(4 * text.size());
  std::u32string points = to_points(text);
  size_t i = 0;
  FormatSpec spec;
  auto is_align = [](char32_t c) { return c == '<' || c == '>' || c == '=' || c == '^'; };
  auto peek = [&]() -> char32_t { return i < points.size() ? points[i] : 0; };
  auto number = [&] {
    if (peek() < '0' || peek() > '9') return int64_t{-1};
    int64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++i) {
      value = value * 10 + (peek() - '0');
      if (value > kMaxFormatWidth) runtime.fail("format width or precision is over {}", kMaxFormatWidth);
    }
    return value;
  };
  if (points.size() >= 2 && is_align(points[1])) {
    spec.fill = to_utf8({points.data(), 1});
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
      spec.fill = "0";
      spec.align = '=';
    }
    ++i;
  }
  spec.width = std::max<int64_t>(number(), 0);
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

[[noreturn]] void fail_type(Runtime& runtime, const FormatSpec& spec, std::string_view type) {
  runtime.fail("Unknown format code '{}' for object of type '{}'", spec.type, type);
}

// Digits of a float in the style of `type` (one of e E f F g G), without sign; "inf" and "nan" as Python has
// them.
std::string float_digits(Runtime& runtime, double value, char type, int64_t precision, bool alternate) {
  bool upper = type >= 'A' && type <= 'Z';
  if (std::isnan(value)) return upper ? "NAN" : "nan";
  if (std::isinf(value)) return upper ? "INF" : "inf";
  runtime.reserve(static_cast<size_t>(precision) + 512);
  runtime.step(static_cast<uint64_t>(precision) / 8);
  const char style[] = {
      '%', alternate ? '#' : '.', alternate ? '.' : '*', alternate ? '*' : type, alternate ? type : '\0',
      '\0'};
  std::string digits(static_cast<size_t>(precision) + 400, '\0');
  int length = snprintf(digits.data(), digits.size(), style, static_cast<int>(precision), std::fabs(value));
  digits.resize(static_cast<size_t>(length));
  return digits;
}

// The form without a type letter: like 'g', but with a digit after the point, and exponents from one digit
// earlier.
std::string general_digits(Runtime& runtime, double magnitude, const FormatSpec& spec) {
  if (spec.precision < 0) return float_repr(magnitude);
  int64_t precision = std::max<int64_t>(spec.precision, 1);
  std::string digits = float_digits(runtime, magnitude, 'g', precision, spec.alternate);
  if (std::isfinite(magnitude) && digits.find('e') == digits.npos && digits.find('.') == digits.npos) {
    if (static_cast<int64_t>(digits.size()) == precision)
      digits = float_digits(runtime, magnitude, 'e', precision - 1, spec.alternate);
    else
      digits += ".0";
  }
  if (size_t mark = digits.find('e'); mark != digits.npos && digits.find('.') < mark) {
    size_t last = digits.find_last_not_of('0', mark - 1);
    if (digits[last] == '.') --last;
    digits.erase(last + 1, mark - last - 1);
  }
  return digits;
}

void append_text(TextBuilder& out, MarkedView text, FormatSpec spec) {
  Runtime& runtime = out.runtime();
  if (spec.type && spec.type != 's') fail_type(runtime, spec, "str");
  if (spec.sign) runtime.fail("Sign not allowed in string format specifier");
  if (spec.alternate) runtime.fail("Alternate form (#) not allowed in string format specifier");
  if (spec.align == '=' && !(spec.zero && spec.fill == "0"))
    runtime.fail("'=' alignment not allowed in string format specifier");
  if (spec.grouping) runtime.fail("Cannot specify '{}' with 's'.", spec.grouping);
  if (spec.align == '=') spec.align = '<';
  append_padded(out, spec, "", cut_text(text, spec), '<');
}

void append_integer(TextBuilder& out, int64_t number, const FormatSpec& spec) {
  Runtime& runtime = out.runtime();
  if (spec.type && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos)
    return append_float(out, static_cast<double>(number), spec);
  if (spec.precision >= 0) runtime.fail("Precision not allowed in integer format specifier");
  bool decimal = spec.type == 0 || spec.type == 'd' || spec.type == 'n';
  if (spec.type == 'c') {
    if (spec.sign) runtime.fail("Sign not allowed with integer format specifier 'c'");
    if (spec.alternate) runtime.fail("Alternate form (#) not allowed with integer format specifier 'c'");
    return append_padded(out, spec, "", character_text(runtime, number), '>');
  }
  if (!decimal && std::string_view("xXob").find(spec.type) == std::string_view::npos)
    fail_type(runtime, spec, "int");
  if (spec.grouping == ',' && !decimal) runtime.fail("Cannot specify ',' with '{}'.", spec.type);
  if (spec.grouping && spec.type == 'n') runtime.fail("Cannot specify '{}' with 'n'.", spec.grouping);
  std::string prefix = sign_text(spec, number < 0) + (decimal ? "" : base_prefix(spec));
  std::string digits = integer_digits(number, spec.type);
  if (spec.grouping) {
    int64_t space =
        spec.align == '=' && spec.fill == "0" ? spec.width - static_cast<int64_t>(prefix.size()) : 0;
    digits = group_digits(digits, spec.grouping, decimal ? 3 : 4,
                          static_cast<size_t>(std::max<int64_t>(space, 0)));
  }
  append_padded(out, spec, prefix, digits, '>');
}

// format(value, spec)
void append_formatted(TextBuilder& out, const Value& value, std::string_view spec) {
  if (spec.empty()) return append_str(out, value);
  switch (value.kind()) {
    case Kind::kString:
      return append_text(out, value.marked(), parse_spec(out.runtime(), spec));
    case Kind::kBool:
    case Kind::kInt:
      return append_integer(out, value.as_int(), parse_spec(out.runtime(), spec));
    case Kind::kFloat:
      return append_float(out, value.as_double(), parse_spec(out.runtime(), spec));
    default:
      out.runtime().fail("unsupported format string passed to {}.__format__", type_name(value));
  }
}

// string.Formatter over one format string; nested fields in a spec go one level down.
class FieldFormatter {
 public:
  FieldFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

  MarkedText run(MarkedView format, int depth) {
    if (depth < 0) runtime_.fail("Max string recursion exceeded");
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
      size_t end = field_end(text, i);
      MarkedView inner = format.substr(i, end - i);
      if (inner.any_marked()) {
        TextBuilder part(runtime_);
        field(part, inner, depth);
        out.append_as(part.take().text, true);
      } else {
        field(out, inner, depth);
      }
      i = end + 1;
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

  void field(TextBuilder& out, MarkedView marked, int depth) {
    std::string_view text = marked.text();
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
      value = to_str(runtime_, value);
    else if (conversion == 'r')
      value = runtime_.string(to_repr(runtime_, value));
    else if (conversion == 'a')
      value = runtime_.string(to_ascii(runtime_, value));
    else if (conversion)
      runtime_.fail("Unknown conversion specifier {}", conversion);
    MarkedText spec = run(marked.part(rest), depth - 1);
    if (spec.marks.empty()) return append_formatted(out, value, spec.text);
    TextBuilder part(runtime_);
    append_formatted(part, value, spec.text);
    out.append_as(part.take().text, true);
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

std::string sign_text(const FormatSpec& spec, bool negative) {
  return negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

std::string integer_digits(int64_t number, char type) {
  uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  switch (type) {
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    default:
      return std::to_string(magnitude);
  }
}

std::string base_prefix(const FormatSpec& spec) {
  return spec.alternate ? std::string{'0', spec.type} : std::string();
}

std::string character_text(Runtime& runtime, int64_t point) {
  if (point < 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
    runtime.fail("%c arg not in range(0x110000)");
  std::string text;
  append_point(text, static_cast<char32_t>(point));
  return text;
}

MarkedView cut_text(MarkedView text, const FormatSpec& spec) {
  return spec.precision < 0 ? text
                            : text.substr(0, byte_offset(text.text(), static_cast<size_t>(spec.precision)));
}

void append_padded(TextBuilder& out, const FormatSpec& spec, std::string_view prefix, MarkedView body,
                   char default_align) {
  out.runtime().step_bytes(body.size());
  char align = spec.align ? spec.align : default_align;
  int64_t length = static_cast<int64_t>(count_points(prefix) + count_points(body.text()));
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

void append_float(TextBuilder& out, double number, const FormatSpec& spec) {
  Runtime& runtime = out.runtime();
  double magnitude = std::fabs(number);
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  std::string digits;
  if (spec.type == 0)
    digits = general_digits(runtime, magnitude, spec);
  else if (spec.type == '%')
    digits = float_digits(runtime, magnitude * 100, 'f', precision, spec.alternate) + "%";
  else if (std::string_view("neEfFgG").find(spec.type) != std::string_view::npos)
    digits = float_digits(runtime, magnitude, spec.type == 'n' ? 'g' : spec.type, precision, spec.alternate);
  else
    fail_type(runtime, spec, "float");
  std::string prefix = sign_text(spec, std::signbit(number) && !std::isnan(number));
  if (spec.grouping) {
    if (spec.type == 'n') runtime.fail("Cannot specify '{}' with 'n'.", spec.grouping);
    size_t end = digits.find_first_not_of("0123456789");
    std::string whole = digits.substr(0, end), rest = end == digits.npos ? "" : digits.substr(end);
    bool zeros = spec.align == '=' && spec.fill == "0";
    int64_t space = spec.width - static_cast<int64_t>(prefix.size() + rest.size());
    digits =
        group_digits(whole, spec.grouping, 3, zeros && space > 0 ? static_cast<size_t>(space) : 0) + rest;
  }
  append_padded(out, spec, prefix, digits, '>');
}

Value format_fields(Runtime& runtime, const Value& format, const Arguments& arguments) {
  return runtime.string(FieldFormatter(runtime, arguments).run(format.marked(), 2));
}

}  // namespace reprise::tokenizer::jinja

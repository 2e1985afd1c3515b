#include "tokenizer/jinja/text.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
std::string escape_of(char32_t point) {
  uint32_t number = point;
  if (point < 0x100) return fmt::format("\\x{:02x}", number);
  return point < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number);
}

namespace {

// What repr() writes for a character, or nothing where the character stands for itself.
std::string repr_escape(char32_t point, char mark) {
  if (point == static_cast<char32_t>(mark) || point == '\\') return {'\\', static_cast<char>(point)};
  if (point == '\n') return "\\n";
  if (point == '\r') return "\\r";
  if (point == '\t') return "\\t";
  if (point < 0x7F ? point < ' ' : !is_printable(point)) return escape_of(point);
  return {};
}

// `append` takes pieces of `text` and, for a character at `begin` that can't stand there, its escape.
template <typename AppendPiece, typename AppendEscape>
void quote_with(std::string_view text, AppendPiece append, AppendEscape append_escape) {
  char mark = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  append_escape(std::string(1, mark), text.size());
  size_t plain = 0;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    std::string escape = repr_escape(decode_point(text, i), mark);
    if (escape.empty()) continue;
    append(plain, begin);
    append_escape(escape, begin);
    plain = i;
  }
  append(plain, text.size());
  append_escape(std::string(1, mark), text.size());
}

void append_quoted(TextBuilder& out, MarkedView text) {
  out.runtime().step_bytes(text.size());
  quote_with(
      text.text(), [&](size_t begin, size_t end) { out.append(text.substr(begin, end - begin)); },
      [&](const std::string& escape, size_t at) { out.append_as(escape, text.marked_at(at)); });
}

void append_items(TextBuilder& out, const std::vector<Value>& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.append(", ");
    first = false;
    append_repr(out, item);
  }
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out;
  quote_with(
      text, [&](size_t begin, size_t end) { out.append(text.substr(begin, end - begin)); },
      [&](const std::string& escape, size_t) { out += escape; });
  return out;
}

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[32];
  auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end - buffer));
  std::string sign;
  if (text.front() == '-') {
    sign = "-";
    text.remove_prefix(1);
  }
  size_t e = text.find('e');
  int exponent = std::stoi(std::string(text.substr(e + 1)));
  std::string digits(1, text[0]);
  if (e > 1) digits += text.substr(2, e - 2);
  int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    if (count > 1) digits.insert(1, 1, '.');
    return fmt::format("{}{}e{}{:02}", sign, digits, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  size_t whole = static_cast<size_t>(exponent) + 1;
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

void append_str(TextBuilder& out, const Value& value) {
  if (value.is_string())
    out.append(value.marked());
  else if (!value.is_undefined())
    append_repr(out, value);
}

void append_pairs(TextBuilder& out, const std::vector<std::pair<Value, Value>>& pairs) {
  bool first = true;
  out.append('{');
  for (const auto& [key, value] : pairs) {
    if (!first) out.append(", ");
    first = false;
    append_repr(out, key);
    out.append(": ");
    append_repr(out, value);
  }
  out.append('}');
}

void append_repr(TextBuilder& out, const Value& value) {
  Runtime& runtime = out.runtime();
  runtime.step();
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return out.append("Undefined");
    case Kind::kNone:
      return out.append("None");
    case Kind::kBool:
      return out.append(value.as_bool() ? "True" : "False");
    case Kind::kInt:
      return out.append(std::to_string(value.as_int()));
    case Kind::kBigInt:
      return out.append(value.text());
    case Kind::kFloat:
      return out.append(float_repr(value.as_double()));
    case Kind::kString:
      return append_quoted(out, value.marked());
    case Kind::kList:
      out.append('[');
      append_items(out, value.items());
      return out.append(']');
    case Kind::kTuple:
      out.append('(');
      append_items(out, value.items());
      return out.append(value.items().size() == 1 ? ",)" : ")");
    case Kind::kDict:
      return append_pairs(out, value.dict().entries);
    case Kind::kRange: {
      const RangeObject& range = value.range();
      out.append(range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                                 : fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
      return;
    }
    case Kind::kView:
      out.append(type_name(value));
      out.append("([");
      append_items(out, to_vector(runtime, value));
      return out.append("])");
    case Kind::kIterator:
      return out.append(fmt::format("<{} object>", type_name(value)));
    case Kind::kHost: {
      Runtime::Depth depth(runtime);
      return out.append(value.host().repr(runtime).view());
    }
  }
}

Value to_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value;
  TextBuilder out(runtime);
  append_str(out, value);
  return runtime.string(out.take());
}

MarkedText to_repr(Runtime& runtime, const Value& value) {
  TextBuilder out(runtime);
  append_repr(out, value);
  return out.take();
}

}  // namespace reprise::tokenizer::jinja

#include "tokenizer/template/text.h"

#include <charconv>
#include <cmath>

#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

void append_escape(std::string& out, char32_t point) {
  if (point < 0x100)
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(point));
  else if (point < 0x10000)
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(point));
  else
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(point));
}

std::string quote(std::string_view text, bool ascii_only) {
  char mark = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, mark);
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    char32_t point = decode_point(text, i);
    if (point == static_cast<char32_t>(mark) || point == '\\') {
      out += '\\';
      out += static_cast<char>(point);
    } else if (point == '\n') {
      out += "\\n";
    } else if (point == '\r') {
      out += "\\r";
    } else if (point == '\t') {
      out += "\\t";
    } else if (point < 0x7F ? point < ' ' : ascii_only || !is_printable(point)) {
      append_escape(out, point);
    } else {
      out.append(text, begin, i - begin);
    }
  }
  return out += mark;
}

void append_items(TextBuilder& out, const std::vector<Value>& items) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out.append(", ");
    first = false;
    append_repr(out, item);
  }
}

void append_view(TextBuilder& out, const ViewObject& view) {
  bool first = true;
  out.append("([");
  for (const auto& [key, value] : view.dict.dict().entries) {
    if (!first) out.append(", ");
    first = false;
    if (view.view == ViewKind::kItems) out.append('(');
    if (view.view != ViewKind::kValues) append_repr(out, key);
    if (view.view == ViewKind::kItems) out.append(", ");
    if (view.view != ViewKind::kKeys) append_repr(out, value);
    if (view.view == ViewKind::kItems) out.append(')');
  }
  out.append("])");
}

}  // namespace

std::string quote(std::string_view text) {
  return quote(text, false);
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
    out.append(value.text());
  else if (!value.is_undefined())
    append_repr(out, value);
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
    case Kind::kFloat:
      return out.append(float_repr(value.as_double()));
    case Kind::kString:
      runtime.reserve(value.text().size());
      if (value.is_markup()) out.append("Markup(");
      out.append(quote(value.text()));
      if (value.is_markup()) out.append(")");
      return;
    case Kind::kList:
      out.append('[');
      append_items(out, value.items());
      return out.append(']');
    case Kind::kTuple:
      out.append('(');
      append_items(out, value.items());
      return out.append(value.items().size() == 1 ? ",)" : ")");
    case Kind::kDict: {
      out.append('{');
      bool first = true;
      for (const auto& [key, item] : value.dict().entries) {
        if (!first) out.append(", ");
        first = false;
        append_repr(out, key);
        out.append(": ");
        append_repr(out, item);
      }
      return out.append('}');
    }
    case Kind::kRange: {
      const RangeObject& range = value.range();
      out.append(range.step == 1 ? fmt::format("range({}, {})", range.start, range.stop)
                                 : fmt::format("range({}, {}, {})", range.start, range.stop, range.step));
      return;
    }
    case Kind::kView:
      out.append(type_name(value));
      return append_view(out, value.view());
    case Kind::kIterator:
      return out.append(fmt::format("<{} object>", type_name(value)));
    case Kind::kHost: {
      Runtime::Depth depth(runtime);
      return out.append(value.host().repr(runtime));
    }
  }
}

std::string to_str(Runtime& runtime, const Value& value) {
  if (value.is_string()) return value.text();
  TextBuilder out(runtime);
  append_str(out, value);
  return out.take();
}

std::string to_repr(Runtime& runtime, const Value& value) {
  TextBuilder out(runtime);
  append_repr(out, value);
  return out.take();
}

std::string to_ascii(Runtime& runtime, const Value& value) {
  std::string text = to_repr(runtime, value), out;
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    if (point < 0x80)
      out += static_cast<char>(point);
    else
      append_escape(out, point);
  }
  return out;
}

std::string escape_html(Runtime& runtime, std::string_view text) {
  TextBuilder out(runtime);
  for (char c : text) {
    switch (c) {
      case '&':
        out.append("&amp;");
        break;
      case '<':
        out.append("&lt;");
        break;
      case '>':
        out.append("&gt;");
        break;
      case '\'':
        out.append("&#39;");
        break;
      case '"':
        out.append("&#34;");
        break;
      default:
        out.append(c);
    }
  }
  return out.take();
}

std::string escaped_text(Runtime& runtime, const Value& value) {
  if (value.is_markup()) return value.text();
  return escape_html(runtime, to_str(runtime, value));
}

}  // namespace reprise::tokenizer::jinja

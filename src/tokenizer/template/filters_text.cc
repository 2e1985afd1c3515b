// Filters over text.
#include <algorithm>
#include <cmath>

#include "tokenizer/template/filters.h"
#include "tokenizer/template/format.h"
#include "tokenizer/template/methods_string.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

// markupsafe's soft_str: strings stay (safe ones stay safe), everything else becomes str.
Value soft_str(Runtime& runtime, const Value& value) {
  return value.is_string() ? value : runtime.string(to_str(runtime, value));
}

template <std::string (*Map)(std::string_view)>
Value map_text(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "filter", arguments, {"/value"}, 1);
  Value text = soft_str(runtime, bound[0]);
  runtime.step_bytes(text.text().size());
  runtime.reserve(6 * text.text().size());
  return runtime.string(Map(text.text()), text.is_markup());
}

// Words begin after whitespace and any of - ( { [ <.
std::string title_words(std::string_view text) {
  std::string out;
  auto separates = [](char32_t point) {
    return is_space(point) || std::u32string_view(U"-({[<").find(point) != std::u32string_view::npos;
  };
  for (size_t i = 0; i < text.size();) {
    size_t begin = i, end = i;
    bool separator = separates(decode_point(text, end));
    size_t first_end = end;
    while (end < text.size()) {
      size_t next = end;
      if (separates(decode_point(text, next)) != separator) break;
      end = next;
    }
    out += upper(text.substr(begin, first_end - begin));
    out += lower(text.substr(first_end, end - first_end));
    i = end;
  }
  return out;
}

Value string(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "string", arguments, {"/value"}, 1);
  return soft_str(runtime, bound[0]);
}

Value safe(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "safe", arguments, {"/value"}, 1);
  return runtime.string(to_str(runtime, bound[0]), true);
}

Value escape(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "escape", arguments, {"/value"}, 1);
  return runtime.string(escaped_text(runtime, bound[0]), true);
}

Value force_escape(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "forceescape", arguments, {"/value"}, 1);
  return runtime.string(escape_html(runtime, to_str(runtime, bound[0])), true);
}

Value trim(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "trim", arguments, {"/value", "chars"}, 1);
  Value text = soft_str(runtime, bound[0]), chars = bound.value(1);
  if (!chars.is(Kind::kNone)) bound.text(1);
  runtime.step_bytes(text.text().size());
  const std::string* set = chars.is(Kind::kNone) ? nullptr : &chars.text();
  return runtime.string(std::string(strip(text.text(), set, true, true)), text.is_markup());
}

Value replace_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "replace", arguments, {"/s", "old", "new", "count"}, 3);
  int64_t count = bound.value(3).is(Kind::kNone) ? -1 : bound.integer(3, -1);
  return runtime.string(replace(runtime, to_str(runtime, bound[0]), to_str(runtime, bound[1]),
                                to_str(runtime, bound[2]), count));
}

Value center_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "center", arguments, {"/value", "width"}, 1);
  Value text = soft_str(runtime, bound[0]);
  return runtime.string(center(runtime, text, bound.integer(1, 80), ' '), text.is_markup());
}

Value format(Runtime& runtime, Arguments& arguments) {
  Value text = soft_str(runtime, arguments.positional.at(0));
  std::vector<Value> values(arguments.positional.begin() + 1, arguments.positional.end());
  if (arguments.named.empty()) return percent_format(runtime, text, runtime.tuple(std::move(values)));
  if (!values.empty()) runtime.fail("can't handle positional and keyword arguments at the same time");
  DictBuilder dict(runtime);
  for (const auto& [name, value] : arguments.named) dict.set(name, value);
  return percent_format(runtime, text, dict.build());
}

Value indent(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "indent", arguments, {"/s", "width", "first", "blank"}, 1);
  std::string indention;
  if (bound.has(1) && bound[1].is_string()) {
    indention = bound[1].text();
  } else {
    int64_t width = std::max<int64_t>(bound.integer(1, 4), 0);
    runtime.reserve(static_cast<size_t>(width));
    indention.assign(static_cast<size_t>(width), ' ');
  }
  if (bound[0].is_undefined()) runtime.fail("{}", bound[0].text());
  std::string text = bound.text(0) + "\n";
  TextBuilder out(runtime);
  if (bound.flag(2)) out.append(indention);
  bool first = true;
  for (std::string_view line : split_lines(runtime, text, false)) {
    if (!first) {
      out.append('\n');
      if (bound.flag(3) || !line.empty()) out.append(indention);
    }
    first = false;
    out.append(line);
  }
  return runtime.string(out.take(), bound[0].is_markup());
}

Value truncate(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "truncate", arguments, {"/s", "length", "killwords", "end", "leeway"}, 1);
  int64_t length = bound.integer(1, 255);
  Value end = bound.has(3) ? bound[3] : runtime.string("...");
  if (!end.is_string()) runtime.fail("truncate(): argument 'end' must be str");
  int64_t end_length = static_cast<int64_t>(end.string().length);
  int64_t leeway = bound.value(4).is(Kind::kNone) ? 5 : bound.integer(4, 5);
  if (length < end_length) runtime.fail("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) runtime.fail("expected leeway >= 0, got {}", leeway);
  std::optional<int64_t> size = length_of(bound[0]);
  if (!size) runtime.fail("object of type '{}' has no len()", type_name(bound[0]));
  if (*size - leeway <= length) return bound[0];
  const std::string& text = bound.text(0);
  std::string head = text.substr(0, byte_offset(text, static_cast<size_t>(length - end_length)));
  if (!bound.flag(2)) {
    size_t space = head.rfind(' ');
    if (space != head.npos) head.resize(space);
  }
  return runtime.string(head + end.text(), bound[0].is_markup());
}

Value wordcount(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "wordcount", arguments, {"/s"}, 1);
  std::string text = to_str(runtime, bound[0]);
  runtime.step_bytes(text.size());
  int64_t words = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    bool word = point == '_' || is_alnum(point);
    words += word && !inside;
    inside = word;
  }
  return Value::integer(words);
}

// Replaces the entities that `escape` writes and numeric ones; html.unescape knows 2,000 more names.
std::string unescape(Runtime& runtime, std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", "\u00a0"}};
  constexpr size_t kLongestEntity = 34;  // "&CounterClockwiseContourIntegral;"
  std::string out;
  for (size_t i = 0; i < text.size();) {
    size_t length = text[i] == '&' ? text.substr(i, kLongestEntity).find(';') : text.npos;
    size_t end = length == text.npos ? text.npos : i + length;
    std::string_view name = end == text.npos ? std::string_view() : text.substr(i + 1, end - i - 1);
    bool numeric = name.size() > 1 && name.size() < 8 && name[0] == '#' &&
                   name.substr(1).find_first_not_of("0123456789") == name.npos;
    if (numeric) {
      long point = std::stol(std::string(name.substr(1)));
      if (point < 32 || point > 0x10FFFF || (point >= 0x7F && point < 0xA0) ||
          (point >= 0xD800 && point < 0xE000))
        runtime.fail("striptags: the character reference &{}; is not supported", name);
      append_point(out, static_cast<char32_t>(point));
    } else if (!name.empty() &&
               std::all_of(name.begin(), name.end(), [](unsigned char c) { return isalnum(c); })) {
      auto it = std::find_if(std::begin(kNames), std::end(kNames),
                             [&](const auto& pair) { return pair.first == name; });
      if (it == std::end(kNames)) runtime.fail("striptags: the entity &{}; is not supported", name);
      out += it->second;
    } else {
      out += text[i++];
      continue;
    }
    i = end + 1;
  }
  return out;
}

Value striptags(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "striptags", arguments, {"/value"}, 1);
  std::string text = to_str(runtime, bound[0]), kept;
  runtime.step_bytes(text.size());
  size_t position = 0;
  for (size_t start; (start = text.find('<', position)) != text.npos;) {
    bool comment = text.compare(start, 4, "<!--") == 0;
    size_t end = comment ? text.find("-->", start + 4) : text.find('>', start);
    if (end == text.npos) break;
    kept.append(text, position, start - position);
    position = end + (comment ? 3 : 1);
  }
  kept.append(text, position);
  std::string joined;
  for (std::string_view word : split(runtime, kept, nullptr, INT64_MAX)) {
    if (!joined.empty()) joined += ' ';
    joined += word;
  }
  return runtime.string(unescape(runtime, joined));
}

std::string quote_url(Runtime& runtime, const Value& value, bool query) {
  std::string text = to_str(runtime, value);
  TextBuilder out(runtime);
  for (unsigned char c : text) {
    if ((c < 0x80 && isalnum(c)) || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query))
      out.append(static_cast<char>(c));
    else if (c == ' ' && query)
      out.append('+');
    else
      out.append(fmt::format("%{:02X}", c));
  }
  return out.take();
}

Value urlencode(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "urlencode", arguments, {"/value"}, 1);
  if (bound[0].is_string() || !iterable(bound[0])) return runtime.string(quote_url(runtime, bound[0], false));
  Value pairs = bound[0].is(Kind::kDict) ? runtime.view(bound[0], ViewKind::kItems) : bound[0];
  std::string out;
  Cursor cursor(runtime, pairs);
  for (Value pair; cursor.next(pair);) {
    std::vector<Value> fields = to_vector(runtime, pair);
    if (fields.size() != 2) runtime.fail("urlencode needs pairs, got {} values", fields.size());
    if (!out.empty()) out += '&';
    out += fmt::format("{}={}", quote_url(runtime, fields[0], true), quote_url(runtime, fields[1], true));
    runtime.reserve(2 * out.size());
  }
  return runtime.string(std::move(out));
}

Value xmlattr(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "xmlattr", arguments, {"/d", "autospace"}, 1);
  if (!bound[0].is(Kind::kDict)) runtime.fail("'{}' has no attribute 'items'", describe_type(bound[0]));
  std::string out;
  for (const auto& [key, value] : bound[0].dict().entries) {
    if (value.is(Kind::kNone) || value.is_undefined()) continue;
    if (!key.is_string() || key.text().find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      runtime.fail("Invalid character in attribute name: {}", to_repr(runtime, key));
    if (!out.empty()) out += ' ';
    out += fmt::format("{}=\"{}\"", escaped_text(runtime, key), escaped_text(runtime, value));
    runtime.reserve(2 * out.size());
  }
  if (!out.empty() && bound.flag(1, true)) out.insert(0, 1, ' ');
  return runtime.string(std::move(out));
}

Value filesizeformat(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "filesizeformat", arguments, {"/value", "binary"}, 1);
  if (!bound[0].is_number()) runtime.fail("float() argument must be a number, not '{}'", type_name(bound[0]));
  double bytes = bound[0].as_double(), base = bound.flag(1) ? 1024 : 1000;
  if (bytes == 1) return runtime.string("1 Byte");
  if (bytes < base)
    return runtime.string(fmt::format("{} Bytes", static_cast<int64_t>(std::max(bytes, -9e18))));
  constexpr std::string_view kUnits = "kMGTPEZY";
  double unit = base;
  for (size_t i = 0; i < kUnits.size(); ++i) {
    unit *= base;
    if (bytes >= unit && i + 1 < kUnits.size()) continue;
    std::string name =
        bound.flag(1) ? std::string{i == 0 ? 'K' : kUnits[i], 'i', 'B'} : std::string{kUnits[i], 'B'};
    return runtime.string(fmt::format("{:.1f} {}", base * bytes / unit, name));
  }
  return Value::none();
}

constexpr Filter kFilters[] = {{"capitalize", map_text<capitalize>},
                               {"center", center_filter},
                               {"e", escape},
                               {"escape", escape},
                               {"filesizeformat", filesizeformat},
                               {"forceescape", force_escape},
                               {"format", format},
                               {"indent", indent},
                               {"lower", map_text<lower>},
                               {"replace", replace_filter},
                               {"safe", safe},
                               {"string", string},
                               {"striptags", striptags},
                               {"title", map_text<title_words>},
                               {"trim", trim},
                               {"truncate", truncate},
                               {"upper", map_text<upper>},
                               {"urlencode", urlencode},
                               {"wordcount", wordcount},
                               {"xmlattr", xmlattr}};

}  // namespace

std::span<const Filter> text_filters() {
  return kFilters;
}

}  // namespace reprise::tokenizer::jinja

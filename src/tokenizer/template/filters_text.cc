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

template <Case wanted>
Value changed(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "filter", arguments, {"/value"}, 1);
  Value text = to_str(runtime, bound[0]);
  runtime.step(1 + text.text().size() / 16);
  runtime.reserve(6 * text.text().size());
  return runtime.string(change_case(text.marked(), wanted));
}

// Words begin after whitespace and any of - ( { [ <.
Value title_words(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "title", arguments, {"/value"}, 1);
  Value value = to_str(runtime, bound[0]);
  MarkedView text = value.marked();
  runtime.step(1 + text.size() / 16);
  TextBuilder out(runtime);
  auto separates = [](char32_t point) {
    return is_space(point) || std::u32string_view(U"-({[<").find(point) != std::u32string_view::npos;
  };
  for (size_t i = 0; i < text.size();) {
    size_t begin = i, end = i;
    bool separator = separates(decode_point(text.text(), end));
    size_t first_end = end;
    while (end < text.size()) {
      size_t next = end;
      if (separates(decode_point(text.text(), next)) != separator) break;
      end = next;
    }
    out.append(change_case(text.substr(begin, first_end - begin), Case::kUpper).view());
    out.append(change_case(text.substr(first_end, end - first_end), Case::kLower).view());
    i = end;
  }
  return runtime.string(out.take());
}

Value string(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "string", arguments, {"/value"}, 1);
  return to_str(runtime, bound[0]);
}

Value trim(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "trim", arguments, {"/value", "chars"}, 1);
  Value text = to_str(runtime, bound[0]), chars = bound.value(1);
  if (!chars.is(Kind::kNone)) bound.text(1);
  return stripped(runtime, text, chars, true, true);
}

Value replace_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "replace", arguments, {"/s", "old", "new", "count"}, 3);
  int64_t count = bound.value(3).is(Kind::kNone) ? -1 : bound.integer(3, -1);
  Value text = to_str(runtime, bound[0]), old = to_str(runtime, bound[1]), with = to_str(runtime, bound[2]);
  return replace(runtime, text.marked(), old.text(), with.marked(), count);
}

Value center_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "center", arguments, {"/value", "width"}, 1);
  return center(runtime, to_str(runtime, bound[0]), bound.integer(1, 80), " ");
}

Value format(Runtime& runtime, Arguments& arguments) {
  Value text = to_str(runtime, arguments.positional.at(0));
  std::vector<Value> values(arguments.positional.begin() + 1, arguments.positional.end());
  if (arguments.named.empty()) return percent_format(runtime, text, runtime.tuple(std::move(values)));
  if (!values.empty()) runtime.fail("can't handle positional and keyword arguments at the same time");
  DictBuilder dict(runtime);
  for (const auto& [name, value] : arguments.named) dict.set(name.view(), value);
  return percent_format(runtime, text, dict.build());
}

// A width in spaces, or the text itself.
Value indentation(Runtime& runtime, const Value& width) {
  if (width.is_string()) return width;
  if (!width.is_integral()) runtime.fail("an indentation must be int or str, not {}", type_name(width));
  TextBuilder out(runtime);
  out.append(static_cast<size_t>(std::max<int64_t>(width.as_int(), 0)), ' ');
  return runtime.string(out.take());
}

Value indent(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "indent", arguments, {"/s", "width", "first", "blank"}, 1);
  Value indention = indentation(runtime, bound.has(1) ? bound[1] : Value::integer(4));
  if (bound[0].is_undefined()) runtime.fail("{}", bound[0].text());
  TextBuilder out(runtime);
  out.append(bound.marked(0));
  out.append('\n');  // so that the last line counts even when it is empty
  MarkedText text = out.take();
  if (bound.flag(2)) out.append(indention.marked());
  bool first = true;
  size_t line_end = 0;  // of the line before
  for (std::string_view line : split_lines(runtime, text.text, false)) {
    if (!first) {
      out.append_as("\n", text.view().marked_at(line_end));
      if (bound.flag(3) || !line.empty()) out.append(indention.marked());
    }
    first = false;
    line_end = static_cast<size_t>(line.data() + line.size() - text.text.data());
    out.append(text.view().part(line));
  }
  return runtime.string(out.take());
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
  size_t head = byte_offset(text, static_cast<size_t>(length - end_length));
  if (!bound.flag(2)) head = std::min(head, std::string_view(text).substr(0, head).rfind(' '));
  TextBuilder out(runtime);
  out.append(bound.marked(0).substr(0, head));
  out.append(end.marked());
  return runtime.string(out.take());
}

Value wordcount(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "wordcount", arguments, {"/s"}, 1);
  Value value = to_str(runtime, bound[0]);
  const std::string& text = value.text();
  runtime.step_bytes(4 * text.size());
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

constexpr Filter kFilters[] = {{"capitalize", changed<Case::kCapitalized>},
                               {"center", center_filter},
                               {"format", format},
                               {"indent", indent},
                               {"lower", changed<Case::kLower>},
                               {"replace", replace_filter},
                               {"safe", string},
                               {"string", string},
                               {"title", title_words},
                               {"trim", trim},
                               {"truncate", truncate},
                               {"upper", changed<Case::kUpper>},
                               {"wordcount", wordcount}};

}  // namespace

std::span<const Filter> text_filters() {
  return kFilters;
}

}  // namespace reprise::tokenizer::jinja

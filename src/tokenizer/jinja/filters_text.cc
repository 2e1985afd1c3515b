// Filters over text.
#include <algorithm>

#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/strings.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

template <Case wanted>
Value changed(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "filter", arguments, {"/value"}, 1);
  return cased(runtime, to_str(runtime, bound[0]), wanted);
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

constexpr Filter kTextFilters[] = {{"capitalize", changed<Case::kCapitalized>},
                                   {"format", format},
                                   {"indent", indent},
                                   {"lower", changed<Case::kLower>},
                                   {"replace", replace_filter},
                                   {"safe", string},
                                   {"string", string},
                                   {"title", title_words},
                                   {"trim", trim},
                                   {"upper", changed<Case::kUpper>}};

}  // namespace

std::span<const Filter> text_filters() {
  return kTextFilters;
}

}  // namespace reprise::tokenizer::jinja

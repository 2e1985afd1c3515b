// Methods of str that search, split, strip, test and join. Those that change case or pad are in
// methods_case.cc.
#include <algorithm>

#include "tokenizer/template/attributes.h"
#include "tokenizer/template/format.h"
#include "tokenizer/template/methods_string.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

// The bytes of self[start:end] where arguments 1 and 2 are code point bounds, with the offset of their begin.
struct Window {
  std::string_view text;
  int64_t first = 0;  // code points before the window
  bool valid = true;  // false when start lies beyond the end, where even "" is not found
};

Window window(Runtime& runtime, const Value& self, const Bound& bound) {
  int64_t length = static_cast<int64_t>(self.string().length);
  auto clip = [&](size_t i, int64_t fallback) {
    if (!bound.has(i) || bound[i].is(Kind::kNone)) return fallback;
    int64_t value = bound.integer(i, 0);
    return value < 0 ? std::max<int64_t>(value + length, 0) : value;
  };
  int64_t start = clip(1, 0), end = std::min(clip(2, length), length);
  runtime.step_bytes(self.text().size());
  if (start > end) return {{}, start, false};
  size_t begin_byte = static_cast<size_t>(start), end_byte = static_cast<size_t>(end);
  if (!self.string().ascii()) {
    begin_byte = byte_offset(self.text(), begin_byte);
    end_byte = byte_offset(self.text(), end_byte);
  }
  return {std::string_view(self.text()).substr(begin_byte, end_byte - begin_byte), start, true};
}

int64_t search(Runtime& runtime, const Value& self, Arguments& arguments, std::string_view name,
               bool backward) {
  Bound bound(runtime, name, arguments, {"/sub", "/start", "/end"}, 1);
  Window part = window(runtime, self, bound);
  if (!part.valid) return bound.text(0), -1;
  size_t hit = backward ? rfind_text(part.text, bound.text(0)) : find_text(part.text, bound.text(0));
  if (hit == std::string_view::npos) return -1;
  return part.first + static_cast<int64_t>(count_points(part.text.substr(0, hit)));
}

Value find(Runtime& runtime, const Value& self, Arguments& arguments) {
  return Value::integer(search(runtime, self, arguments, "find", false));
}
Value rfind(Runtime& runtime, const Value& self, Arguments& arguments) {
  return Value::integer(search(runtime, self, arguments, "rfind", true));
}
Value index(Runtime& runtime, const Value& self, Arguments& arguments) {
  int64_t hit = search(runtime, self, arguments, "index", false);
  if (hit < 0) runtime.fail("substring not found");
  return Value::integer(hit);
}
Value rindex(Runtime& runtime, const Value& self, Arguments& arguments) {
  int64_t hit = search(runtime, self, arguments, "rindex", true);
  if (hit < 0) runtime.fail("substring not found");
  return Value::integer(hit);
}

Value count(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "count", arguments, {"/sub", "/start", "/end"}, 1);
  const std::string& pattern = bound.text(0);
  Window part = window(runtime, self, bound);
  if (!part.valid) return Value::integer(0);
  if (pattern.empty()) return Value::integer(static_cast<int64_t>(count_points(part.text)) + 1);
  int64_t hits = 0;
  for (size_t at = 0; (at = find_text(part.text, pattern, at)) != std::string_view::npos;
       at += pattern.size())
    ++hits;
  return Value::integer(hits);
}

Value affix_test(Runtime& runtime, const Value& self, Arguments& arguments, bool at_end) {
  std::string_view name = at_end ? "endswith" : "startswith";
  Bound bound(runtime, name, arguments, {"/prefix", "/start", "/end"}, 1);
  Window part = window(runtime, self, bound);
  auto matches = [&](const Value& affix) {
    if (!affix.is_string())
      runtime.fail("{} first arg must be str or a tuple of str, not {}", name, type_name(affix));
    if (!part.valid) return false;
    runtime.step_bytes(affix.text().size());
    return at_end ? part.text.ends_with(affix.text()) : part.text.starts_with(affix.text());
  };
  if (!bound[0].is(Kind::kTuple)) return Value::boolean(matches(bound[0]));
  for (const Value& affix : bound[0].items())
    if (matches(affix)) return Value::boolean(true);
  return Value::boolean(false);
}
Value startswith(Runtime& runtime, const Value& self, Arguments& arguments) {
  return affix_test(runtime, self, arguments, false);
}
Value endswith(Runtime& runtime, const Value& self, Arguments& arguments) {
  return affix_test(runtime, self, arguments, true);
}

Value strip_method(Runtime& runtime, const Value& self, Arguments& arguments, std::string_view name,
                   bool left, bool right) {
  Bound bound(runtime, name, arguments, {"/chars"});
  Value chars = bound.value(0);
  if (!chars.is(Kind::kNone) && !chars.is_string()) runtime.fail("{} arg must be None or str", name);
  return stripped(runtime, self, chars, left, right);
}
Value strip_both(Runtime& runtime, const Value& self, Arguments& arguments) {
  return strip_method(runtime, self, arguments, "strip", true, true);
}
Value lstrip(Runtime& runtime, const Value& self, Arguments& arguments) {
  return strip_method(runtime, self, arguments, "lstrip", true, false);
}
Value rstrip(Runtime& runtime, const Value& self, Arguments& arguments) {
  return strip_method(runtime, self, arguments, "rstrip", false, true);
}

Value strings_of(Runtime& runtime, const Value& whole, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  runtime.reserve(parts.size() * sizeof(Value));
  items.reserve(parts.size());
  for (std::string_view part : parts) items.push_back(runtime.substring(whole.marked().part(part)));
  return runtime.list(std::move(items));
}

Value split_method(Runtime& runtime, const Value& self, Arguments& arguments, bool backward) {
  std::string_view name = backward ? "rsplit" : "split";
  Bound bound(runtime, name, arguments, {"sep", "maxsplit"});
  int64_t limit = bound.integer(1, -1);
  if (limit < 0) limit = INT64_MAX;
  Value separator = bound.value(0);
  if (!separator.is(Kind::kNone) && !separator.is_string())
    runtime.fail("must be str or None, not {}", type_name(separator));
  if (separator.is_string() && separator.text().empty()) runtime.fail("empty separator");
  const std::string* by = separator.is_string() ? &separator.text() : nullptr;
  std::vector<std::string_view> parts =
      backward ? rsplit(runtime, self.text(), by, limit) : split(runtime, self.text(), by, limit);
  return strings_of(runtime, self, parts);
}
Value split_forward(Runtime& runtime, const Value& self, Arguments& arguments) {
  return split_method(runtime, self, arguments, false);
}
Value split_backward(Runtime& runtime, const Value& self, Arguments& arguments) {
  return split_method(runtime, self, arguments, true);
}

Value splitlines(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "splitlines", arguments, {"keepends"});
  return strings_of(runtime, self, split_lines(runtime, self.text(), bound.integer(0, 0) != 0));
}

Value partition_method(Runtime& runtime, const Value& self, Arguments& arguments, bool backward) {
  Bound bound(runtime, backward ? "rpartition" : "partition", arguments, {"/sep"}, 1);
  const std::string& separator = bound.text(0);
  if (separator.empty()) runtime.fail("empty separator");
  const std::string& text = self.text();
  runtime.step_bytes(text.size());
  size_t hit = backward ? rfind_text(text, separator) : find_text(text, separator);
  Value nothing = runtime.string("");
  if (hit == std::string::npos)
    return backward ? runtime.tuple({nothing, nothing, self}) : runtime.tuple({self, nothing, nothing});
  return runtime.tuple({runtime.substring(self.marked().substr(0, hit)),
                        runtime.substring(self.marked().substr(hit, separator.size())),
                        runtime.substring(self.marked().substr(hit + separator.size()))});
}
Value partition(Runtime& runtime, const Value& self, Arguments& arguments) {
  return partition_method(runtime, self, arguments, false);
}
Value rpartition(Runtime& runtime, const Value& self, Arguments& arguments) {
  return partition_method(runtime, self, arguments, true);
}

Value replace_method(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "replace", arguments, {"/old", "/new", "/count"}, 2);
  bound.text(1);
  return replace(runtime, self.marked(), bound.text(0), bound.marked(1), bound.integer(2, -1));
}

Value remove_affix(Runtime& runtime, const Value& self, Arguments& arguments, bool at_end) {
  Bound bound(runtime, at_end ? "removesuffix" : "removeprefix", arguments, {"/affix"}, 1);
  std::string_view text = self.text();
  const std::string& affix = bound.text(0);
  if (at_end ? !text.ends_with(affix) : !text.starts_with(affix)) return self;
  size_t kept = text.size() - affix.size();
  return runtime.substring(self.marked().substr(at_end ? 0 : affix.size(), kept));
}
Value removeprefix(Runtime& runtime, const Value& self, Arguments& arguments) {
  return remove_affix(runtime, self, arguments, false);
}
Value removesuffix(Runtime& runtime, const Value& self, Arguments& arguments) {
  return remove_affix(runtime, self, arguments, true);
}

Value join(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "join", arguments, {"/iterable"}, 1);
  TextBuilder out(runtime);
  Cursor cursor(runtime, bound[0]);
  size_t position = 0;
  for (Value item; cursor.next(item); ++position) {
    if (position > 0) out.append(self.marked());
    if (!item.is_string())
      runtime.fail("sequence item {}: expected str instance, {} found", position, type_name(item));
    out.append(item.marked());
  }
  return runtime.string(out.take());
}

Value format(Runtime& runtime, const Value& self, Arguments& arguments) {
  return format_fields(runtime, self, arguments);
}

Value format_map(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "format_map", arguments, {"/mapping"}, 1);
  if (!bound[0].is(Kind::kDict)) runtime.fail("format_map() takes a dict, not {}", type_name(bound[0]));
  Arguments fields;
  for (const auto& [key, value] : bound[0].dict().entries)
    if (key.is_string()) fields.named.push_back({MarkedText(key.marked()), value});
  return format_fields(runtime, self, fields);
}

Value refused(Runtime& runtime, const Value&, Arguments&) {
  runtime.fail("str.encode, str.maketrans and str.translate are not available in templates");
}

constexpr Method kMethods[] = {{"find", find},
                               {"rfind", rfind},
                               {"index", index},
                               {"rindex", rindex},
                               {"count", count},
                               {"startswith", startswith},
                               {"endswith", endswith},
                               {"strip", strip_both},
                               {"lstrip", lstrip},
                               {"rstrip", rstrip},
                               {"split", split_forward},
                               {"rsplit", split_backward},
                               {"splitlines", splitlines},
                               {"partition", partition},
                               {"rpartition", rpartition},
                               {"replace", replace_method},
                               {"removeprefix", removeprefix},
                               {"removesuffix", removesuffix},
                               {"join", join},
                               {"format", format},
                               {"format_map", format_map},
                               {"encode", refused},
                               {"maketrans", refused},
                               {"translate", refused}};

}  // namespace

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  std::u32string set = chars ? to_points(*chars) : std::u32string();
  std::sort(set.begin(), set.end());
  auto stripped = [&](char32_t point) {
    return chars ? std::binary_search(set.begin(), set.end(), point) : is_space(point);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!stripped(decode_point(text, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    size_t start = end - 1;
    while (start > begin && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    size_t after = start;
    if (!stripped(decode_point(text, after))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split(Runtime& runtime, std::string_view text, const std::string* separator,
                                    int64_t limit) {
  std::vector<std::string_view> parts;
  runtime.step_bytes(text.size());
  size_t begin = 0;
  if (separator) {
    for (; limit > 0; --limit) {
      size_t hit = find_text(text, *separator, begin);
      if (hit == std::string_view::npos) break;
      runtime.step();
      parts.push_back(text.substr(begin, hit - begin));
      begin = hit + separator->size();
    }
    parts.push_back(text.substr(begin));
    return parts;
  }
  for (std::string_view rest = strip(text, nullptr, true, false); !rest.empty();
       rest = strip(rest, nullptr, true, false)) {
    runtime.step();
    if (limit-- <= 0) {
      parts.push_back(rest);
      break;
    }
    size_t end = 0;
    for (size_t next = 0; next < rest.size() && !is_space(decode_point(rest, next));) end = next;
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string_view> rsplit(Runtime& runtime, std::string_view text, const std::string* separator,
                                     int64_t limit) {
  std::vector<std::string_view> parts;
  runtime.step_bytes(text.size());
  if (separator) {
    for (; limit > 0; --limit) {
      size_t hit = rfind_text(text, *separator);
      if (hit == std::string_view::npos) break;
      runtime.step_bytes(separator->size() > 8 ? text.size() : 1);
      parts.push_back(text.substr(hit + separator->size()));
      text = text.substr(0, hit);
    }
    parts.push_back(text);
  } else {
    for (text = strip(text, nullptr, false, true); !text.empty(); text = strip(text, nullptr, false, true)) {
      runtime.step();
      if (limit-- <= 0) {
        parts.push_back(text);
        break;
      }
      size_t begin = text.size();
      while (begin > 0) {
        size_t start = begin - 1;
        while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
        size_t after = start;
        if (is_space(decode_point(text, after))) break;
        begin = start;
      }
      parts.push_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  runtime.step_bytes(text.size());
  for (size_t begin = 0, i = 0; begin < text.size();) {
    size_t end = text.size();
    size_t next = end;
    while (i < text.size()) {
      size_t at = i;
      char32_t point = decode_point(text, i);
      if (!is_line_break(point)) continue;
      if (point == '\r' && i < text.size() && text[i] == '\n') ++i;
      end = at;
      next = i;
      break;
    }
    runtime.step();
    lines.push_back(text.substr(begin, (keep_ends ? next : end) - begin));
    begin = i = next;
  }
  return lines;
}

Value stripped(Runtime& runtime, const Value& text, const Value& chars, bool left, bool right) {
  const std::string* set = chars.is_string() ? &chars.text() : nullptr;
  runtime.step_bytes(text.text().size() + (set ? 4 * set->size() : 0));
  std::string_view rest = strip(text.text(), set, left, right);
  return rest.size() == text.text().size() ? text : runtime.substring(text.marked().part(rest));
}

Value replace(Runtime& runtime, MarkedView marked, std::string_view old, MarkedView with, int64_t limit) {
  std::string_view text = marked.text();
  TextBuilder out(runtime);
  runtime.step_bytes(text.size());
  if (limit < 0) limit = INT64_MAX;
  size_t begin = 0;
  if (old.empty()) {
    // An empty pattern stands before every character and at the end.
    for (; limit > 0; --limit) {
      out.append(with);
      if (begin >= text.size()) break;
      size_t next = begin;
      decode_point(text, next);
      out.append(marked.substr(begin, next - begin));
      begin = next;
    }
  } else {
    for (; limit > 0; --limit) {
      size_t hit = find_text(text, old, begin);
      if (hit == std::string_view::npos) break;
      runtime.step();
      out.append(marked.substr(begin, hit - begin));
      out.append(with);
      begin = hit + old.size();
    }
  }
  out.append(marked.substr(std::min(begin, text.size())));
  return runtime.string(out.take());
}

std::span<const Method> string_methods() {
  static const std::vector<Method> all = [] {
    std::vector<Method> methods(std::begin(kMethods), std::end(kMethods));
    std::span<const Method> more = string_case_methods();
    methods.insert(methods.end(), more.begin(), more.end());
    return methods;
  }();
  return all;
}

}  // namespace reprise::tokenizer::jinja

// Methods of str, list, tuple, range and dict. Those that would change a list or dict are refused in
// attributes.cc, as the immutable sandbox refuses them.
#include <algorithm>

#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/strings.h"
#include "tokenizer/jinja/text.h"

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

// find, rfind, index and rindex; the last two fail where the others give -1.
template <bool backward, bool required>
Value find(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, required ? "index" : "find", arguments, {"/sub", "/start", "/end"}, 1);
  const std::string& pattern = bound.text(0);
  Window part = window(runtime, self, bound);
  size_t hit = std::string_view::npos;
  if (part.valid) hit = backward ? rfind_text(part.text, pattern) : find_text(part.text, pattern);
  if (hit != std::string_view::npos)
    return Value::integer(part.first + static_cast<int64_t>(count_points(part.text.substr(0, hit))));
  if (required) runtime.fail("substring not found");
  return Value::integer(-1);
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

// startswith and endswith.
template <bool at_end>
Value has_affix(Runtime& runtime, const Value& self, Arguments& arguments) {
  std::string_view name = at_end ? "endswith" : "startswith";
  Bound bound(runtime, name, arguments, {"/affix", "/start", "/end"}, 1);
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

// removeprefix and removesuffix.
template <bool at_end>
Value remove_affix(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, at_end ? "removesuffix" : "removeprefix", arguments, {"/affix"}, 1);
  std::string_view text = self.text();
  const std::string& affix = bound.text(0);
  if (at_end ? !text.ends_with(affix) : !text.starts_with(affix)) return self;
  size_t kept = text.size() - affix.size();
  return runtime.substring(self.marked().substr(at_end ? 0 : affix.size(), kept));
}

template <bool left, bool right>
Value strip_method(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "strip", arguments, {"/chars"});
  Value chars = bound.value(0);
  if (!chars.is(Kind::kNone)) bound.text(0);
  return stripped(runtime, self, chars, left, right);
}

Value strings_of(Runtime& runtime, const Value& whole, const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  runtime.reserve(parts.size() * sizeof(Value));
  items.reserve(parts.size());
  for (std::string_view part : parts) items.push_back(runtime.substring(whole.marked().part(part)));
  return runtime.list(std::move(items));
}

template <bool backward>
Value split_method(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, backward ? "rsplit" : "split", arguments, {"sep", "maxsplit"});
  int64_t limit = bound.integer(1, -1);
  if (limit < 0) limit = INT64_MAX;
  const std::string* separator = bound.value(0).is(Kind::kNone) ? nullptr : &bound.text(0);
  if (separator && separator->empty()) runtime.fail("empty separator");
  return strings_of(runtime, self, (backward ? rsplit : split)(runtime, self.text(), separator, limit));
}

Value splitlines(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "splitlines", arguments, {"keepends"});
  return strings_of(runtime, self, split_lines(runtime, self.text(), bound.integer(0, 0) != 0));
}

Value replace_method(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "replace", arguments, {"/old", "/new", "/count"}, 2);
  return replace(runtime, self.marked(), bound.text(0), bound.marked(1), bound.integer(2, -1));
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

template <Case wanted>
Value change(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "str method", arguments, {});
  return cased(runtime, self, wanted);
}

// True when the text has characters and all pass.
template <bool (*test)(char32_t)>
Value all_points(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "str method", arguments, {});
  const std::string& text = self.text();
  runtime.step_bytes(text.size());
  for (size_t i = 0; i < text.size();)
    if (!test(decode_point(text, i))) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

template <bool (*test)(std::string_view)>
Value whole_text(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "str method", arguments, {});
  runtime.step_bytes(self.text().size());
  return Value::boolean(test(self.text()));
}

constexpr Method kStringMethods[] = {{"find", find<false, false>},
                                     {"rfind", find<true, false>},
                                     {"index", find<false, true>},
                                     {"rindex", find<true, true>},
                                     {"count", count},
                                     {"startswith", has_affix<false>},
                                     {"endswith", has_affix<true>},
                                     {"strip", strip_method<true, true>},
                                     {"lstrip", strip_method<true, false>},
                                     {"rstrip", strip_method<false, true>},
                                     {"split", split_method<false>},
                                     {"rsplit", split_method<true>},
                                     {"splitlines", splitlines},
                                     {"replace", replace_method},
                                     {"removeprefix", remove_affix<false>},
                                     {"removesuffix", remove_affix<true>},
                                     {"join", join},
                                     {"format", format_fields},
                                     {"upper", change<Case::kUpper>},
                                     {"lower", change<Case::kLower>},
                                     {"title", change<Case::kTitle>},
                                     {"capitalize", change<Case::kCapitalized>},
                                     {"isalnum", all_points<is_alnum>},
                                     {"isalpha", all_points<is_alpha>},
                                     {"isdigit", all_points<is_digit>},
                                     {"isnumeric", all_points<is_numeric_point>},
                                     {"isspace", all_points<is_space>},
                                     {"islower", whole_text<is_lower_text>},
                                     {"isupper", whole_text<is_upper_text>}};

Value sequence_count(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "count", arguments, {"/value"}, 1);
  int64_t hits = 0;
  Cursor cursor(runtime, self);
  for (Value item; cursor.next(item);) hits += same(item, bound[0]) || equal(runtime, item, bound[0]);
  return Value::integer(hits);
}

Value sequence_index(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "index", arguments, {"/value"}, 1);
  Cursor cursor(runtime, self);
  int64_t position = 0;
  for (Value item; cursor.next(item); ++position)
    if (same(item, bound[0]) || equal(runtime, item, bound[0])) return Value::integer(position);
  runtime.fail("{} is not in {}", to_repr(runtime, bound[0]).text, type_name(self));
}

// Lists and dicts never change here, so a copy may be the object itself.
Value copy(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "copy", arguments, {});
  return self;
}

Value dict_get(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "get", arguments, {"/key", "/default"}, 1);
  if (!hashable(runtime, bound[0])) runtime.fail("unhashable type: '{}'", type_name(bound[0]));
  const Value* found = dict_find(runtime, self.dict(), bound[0]);
  return found ? *found : bound.value(1);
}

template <ViewKind kind>
Value dict_view(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "dict method", arguments, {});
  return runtime.view(self, kind);
}

constexpr Method kSequenceMethods[] = {{"count", sequence_count}, {"index", sequence_index}, {"copy", copy}};
constexpr Method kDictMethods[] = {{"get", dict_get},
                                   {"keys", dict_view<ViewKind::kKeys>},
                                   {"values", dict_view<ViewKind::kValues>},
                                   {"items", dict_view<ViewKind::kItems>},
                                   {"copy", copy}};

}  // namespace

std::span<const Method> string_methods() {
  return kStringMethods;
}
std::span<const Method> sequence_methods() {
  return kSequenceMethods;
}
std::span<const Method> dict_methods() {
  return kDictMethods;
}

}  // namespace reprise::tokenizer::jinja

// Filters over sequences and dicts.
#include <algorithm>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

bool reversible(const Value& value) {
  return iterable(value) && !value.is(Kind::kIterator);
}

Value length(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "length", arguments, {"/value"}, 1);
  std::optional<int64_t> length = length_of(bound[0]);
  if (!length) runtime.fail("object of type '{}' has no len()", type_name(bound[0]));
  return Value::integer(*length);
}

Value list(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "list", arguments, {"/value"}, 1);
  return runtime.list(to_vector(runtime, bound[0]));
}

Value first(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "first", arguments, {"/seq"}, 1);
  Value item;
  if (Cursor(runtime, bound[0]).next(item)) return item;
  return runtime.undefined("No first item, sequence was empty.");
}

Value last(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "last", arguments, {"/seq"}, 1);
  if (!reversible(bound[0])) runtime.fail("'{}' object is not reversible", type_name(bound[0]));
  if (*length_of(bound[0]) == 0) return runtime.undefined("No last item, sequence was empty.");
  if (bound[0].is_string() || bound[0].is_sequence() || bound[0].is(Kind::kRange))
    return subscript(runtime, bound[0], Value::integer(-1));
  return to_vector(runtime, bound[0]).back();
}

Value reverse(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "reverse", arguments, {"/value"}, 1);
  if (bound[0].is_string()) return slice(runtime, bound[0], Value::none(), Value::none(), Value::integer(-1));
  if (!iterable(bound[0])) runtime.fail("argument must be iterable");
  std::vector<Value> items = to_vector(runtime, bound[0]);
  std::reverse(items.begin(), items.end());
  Value reversed = runtime.list(std::move(items));
  if (!reversible(bound[0])) return reversed;
  auto cursor = std::make_shared<Cursor>(runtime, reversed);
  return runtime.iterator("list_reverseiterator", {reversed},
                          [cursor](Value& item) { return cursor->next(item); });
}

Value join(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "join", arguments, {"/value", "d", "attribute"}, 1);
  AttributeGetter getter(runtime, bound.value(2));
  Value separator = bound.has(1) ? to_str(runtime, bound[1]) : runtime.string("");
  TextBuilder out(runtime);
  Cursor cursor(runtime, bound[0]);
  bool first = true;
  for (Value item; cursor.next(item);) {
    if (!first) out.append(separator.marked());
    first = false;
    append_str(out, getter(item));
  }
  return runtime.string(out.take());
}

Value items(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "items", arguments, {"/value"}, 1);
  Value value = bound[0];
  return runtime.generator({value}, [&runtime, value]() -> std::function<bool(Value&)> {
    if (value.is_undefined()) return [](Value&) { return false; };
    if (!value.is(Kind::kDict)) runtime.fail("Can only get item pairs from a mapping.");
    auto cursor = std::make_shared<Cursor>(runtime, runtime.view(value, ViewKind::kItems));
    return [cursor](Value& item) { return cursor->next(item); };
  });
}

Value sum(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "sum", arguments, {"/iterable", "attribute", "start"}, 1);
  AttributeGetter getter(runtime, bound.value(1));
  Value total = bound.has(2) ? bound[2] : Value::integer(0);
  if (total.is_string()) runtime.fail("sum() can't sum strings [use ''.join(seq) instead]");
  Cursor cursor(runtime, bound[0]);
  for (Value item; cursor.next(item);) total = binary(runtime, BinaryOp::kAdd, total, getter(item));
  return total;
}

struct Keyed {
  std::vector<Value> keys;
  Value item;
};

// Python compares key lists: the first pair that differs decides, equal pairs are never ordered.
bool less(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (!same(a[i], b[i]) && !equal(runtime, a[i], b[i]))
      return order(runtime, a[i], b[i], "<") == Order::kLess;
  return a.size() < b.size();
}

// sorted() with a key: stable, also in reverse. A single key is ordered even when equal, as Python does.
std::vector<Value> sorted(Runtime& runtime, std::vector<Keyed> items, bool reverse, bool key_lists) {
  if (reverse) std::reverse(items.begin(), items.end());
  std::stable_sort(items.begin(), items.end(), [&](const Keyed& a, const Keyed& b) {
    runtime.step();
    return key_lists ? less(runtime, a.keys, b.keys)
                     : order(runtime, a.keys[0], b.keys[0], "<") == Order::kLess;
  });
  if (reverse) std::reverse(items.begin(), items.end());
  std::vector<Value> result;
  result.reserve(items.size());
  for (Keyed& keyed : items) result.push_back(std::move(keyed.item));
  return result;
}

Value sort(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "sort", arguments, {"/value", "reverse", "case_sensitive", "attribute"}, 1);
  Value attribute = bound.value(3);
  bool fold = !bound.flag(2);
  std::vector<AttributeGetter> getters;
  if (attribute.is_string()) {
    // "age,name" sorts by several attributes.
    std::string_view paths = attribute.text();
    for (size_t begin = 0; begin <= paths.size();) {
      size_t end = std::min(paths.find(',', begin), paths.size());
      getters.emplace_back(runtime, runtime.string(std::string(paths.substr(begin, end - begin))), fold);
      begin = end + 1;
    }
  } else {
    getters.emplace_back(runtime, attribute, fold);
  }
  std::vector<Keyed> items;
  for (Value& item : to_vector(runtime, bound[0])) {
    Keyed keyed;
    for (const AttributeGetter& getter : getters) keyed.keys.push_back(getter(item));
    keyed.item = std::move(item);
    items.push_back(std::move(keyed));
  }
  return runtime.list(sorted(runtime, std::move(items), bound.flag(1), true));
}

Value dictsort(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "dictsort", arguments, {"/value", "case_sensitive", "by", "reverse"}, 1);
  bool by_value = false;
  if (bound.has(2)) {
    by_value = bound[2].is_string() && bound[2].text() == "value";
    if (!by_value && !(bound[2].is_string() && bound[2].text() == "key"))
      runtime.fail("You can only sort by either \"key\" or \"value\"");
  }
  if (bound[0].is_undefined()) runtime.fail("{}", bound[0].text());
  if (!bound[0].is(Kind::kDict)) runtime.fail("'{}' has no attribute 'items'", describe_type(bound[0]));
  std::vector<Keyed> items;
  for (const auto& [key, value] : bound[0].dict().entries) {
    Value by = by_value ? value : key;
    items.push_back({{bound.flag(1) ? by : fold_case(runtime, by)}, runtime.tuple({key, value})});
  }
  return runtime.list(sorted(runtime, std::move(items), bound.flag(3), false));
}

// min and max.
template <bool largest>
Value extreme(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, largest ? "max" : "min", arguments, {"/value", "case_sensitive", "attribute"}, 1);
  Cursor cursor(runtime, bound[0]);
  Value best;
  if (!cursor.next(best)) return runtime.undefined("No aggregated item, sequence was empty.");
  AttributeGetter getter(runtime, bound.value(2), !bound.flag(1));
  Value best_key = getter(best);
  for (Value item; cursor.next(item);) {
    Value key = getter(item);
    if (order(runtime, key, best_key, largest ? ">" : "<") == (largest ? Order::kGreater : Order::kLess)) {
      best = item;
      best_key = key;
    }
  }
  return best;
}
Value unique(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "unique", arguments, {"/value", "case_sensitive", "attribute"}, 1);
  Value value = bound[0], attribute = bound.value(2);
  bool fold = !bound.flag(1);
  return runtime.generator({value, attribute},
                           [&runtime, value, attribute, fold]() -> std::function<bool(Value&)> {
                             auto cursor = std::make_shared<Cursor>(runtime, value);
                             auto seen = std::make_shared<DictBuilder>(runtime);
                             AttributeGetter getter(runtime, attribute, fold);
                             return [cursor, seen, getter](Value& item) {
                               while (cursor->next(item)) {
                                 Value key = getter(item);
                                 if (seen->has(key)) continue;
                                 seen->set(key, Value::none());
                                 return true;
                               }
                               return false;
                             };
                           });
}

constexpr Filter kSequenceFilters[] = {
    {"count", length},      {"dictsort", dictsort},  {"first", first},     {"items", items},
    {"join", join},         {"last", last},          {"length", length},   {"list", list},
    {"max", extreme<true>}, {"min", extreme<false>}, {"reverse", reverse}, {"sort", sort},
    {"sum", sum},           {"unique", unique}};

}  // namespace

std::span<const Filter> sequence_filters() {
  return kSequenceFilters;
}

}  // namespace reprise::tokenizer::jinja

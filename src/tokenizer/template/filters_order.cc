// Filters that compare items: sort, dictsort, min, max, unique.
#include <algorithm>

#include "tokenizer/template/compare.h"
#include "tokenizer/template/filters.h"

namespace reprise::tokenizer::jinja {
namespace {

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

constexpr Filter kFilters[] = {{"dictsort", dictsort},
                               {"max", extreme<true>},
                               {"min", extreme<false>},
                               {"sort", sort},
                               {"unique", unique}};

}  // namespace

std::span<const Filter> order_filters() {
  return kFilters;
}

}  // namespace reprise::tokenizer::jinja

// Methods of list, tuple, range and dict that read. Those that change are refused in attributes.cc.
#include <algorithm>

#include "tokenizer/template/attributes.h"
#include "tokenizer/template/compare.h"
#include "tokenizer/template/text.h"

namespace reprise::tokenizer::jinja {
namespace {

Value sequence_count(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "count", arguments, {"/value"}, 1);
  int64_t hits = 0;
  Cursor cursor(runtime, self);
  for (Value item; cursor.next(item);) hits += same(item, bound[0]) || equal(runtime, item, bound[0]);
  return Value::integer(hits);
}

Value sequence_index(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "index", arguments, {"/value", "/start", "/stop"}, 1);
  int64_t length = *length_of(self);
  auto clip = [&](int64_t value) { return value < 0 ? std::max<int64_t>(value + length, 0) : value; };
  int64_t start = clip(bound.integer(1, 0)), stop = clip(bound.integer(2, INT64_MAX));
  Cursor cursor(runtime, self);
  int64_t position = 0;
  for (Value item; cursor.next(item); ++position) {
    if (position < start) continue;
    if (position >= stop) break;
    if (same(item, bound[0]) || equal(runtime, item, bound[0])) return Value::integer(position);
  }
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

Value dict_keys(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "keys", arguments, {});
  return runtime.view(self, ViewKind::kKeys);
}

Value dict_values(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "values", arguments, {});
  return runtime.view(self, ViewKind::kValues);
}

Value dict_items(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "items", arguments, {});
  return runtime.view(self, ViewKind::kItems);
}

Value dict_fromkeys(Runtime& runtime, const Value&, Arguments& arguments) {
  Bound bound(runtime, "fromkeys", arguments, {"/iterable", "/value"}, 1);
  DictBuilder dict(runtime);
  Cursor cursor(runtime, bound[0]);
  for (Value key; cursor.next(key);) dict.set(key, bound.value(1));
  return dict.build();
}

constexpr Method kSequenceMethods[] = {{"count", sequence_count}, {"index", sequence_index}, {"copy", copy}};
constexpr Method kDictMethods[] = {{"get", dict_get},     {"keys", dict_keys}, {"values", dict_values},
                                   {"items", dict_items}, {"copy", copy},      {"fromkeys", dict_fromkeys}};

}  // namespace

std::span<const Method> sequence_methods() {
  return kSequenceMethods;
}
std::span<const Method> dict_methods() {
  return kDictMethods;
}

}  // namespace reprise::tokenizer::jinja

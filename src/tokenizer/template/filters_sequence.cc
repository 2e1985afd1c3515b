// Filters over sequences that keep their order; those that compare items are in filters_order.cc.
#include <algorithm>

#include "tokenizer/template/filters.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"

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

constexpr Filter kFilters[] = {{"count", length}, {"first", first},     {"items", items},
                               {"join", join},    {"last", last},       {"length", length},
                               {"list", list},    {"reverse", reverse}, {"sum", sum}};

}  // namespace

std::span<const Filter> sequence_filters() {
  return kFilters;
}

}  // namespace reprise::tokenizer::jinja

#include "tokenizer/jinja/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/seeded_hash.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

bool comparable_number(const Value& value) {
  return value.is_number() || value.is(Kind::kBigInt);
}

// Decimal integers without leading zeros.
Order compare_digits(const std::string& a, const std::string& b) {
  if (a == b) return Order::kEqual;
  bool negative = a[0] == '-';
  if (negative != (b[0] == '-')) return negative ? Order::kLess : Order::kGreater;
  bool nearer_zero = a.size() != b.size() ? a.size() < b.size() : a < b;
  return nearer_zero != negative ? Order::kLess : Order::kGreater;
}

// Integers and floats compare exactly (those beyond 64 bits nearly so with floats): long double holds every
// int64 and every double.
static_assert(sizeof(long double) > 8);
Order compare_numbers(const Value& a, const Value& b) {
  if (a.is(Kind::kBigInt) && b.is(Kind::kBigInt)) return compare_digits(a.text(), b.text());
  auto wide = [](const Value& value) {
    if (value.is(Kind::kBigInt)) return strtold(value.text().c_str(), nullptr);
    return value.is(Kind::kFloat) ? static_cast<long double>(value.as_double())
                                  : static_cast<long double>(value.as_int());
  };
  long double x = wide(a), y = wide(b);
  return x < y ? Order::kLess : x > y ? Order::kGreater : x == y ? Order::kEqual : Order::kUnordered;
}

bool equal_dicts(Runtime& runtime, const DictObject& a, const DictObject& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = dict_find(runtime, b, key);
    if (!other || !equal(runtime, value, *other)) return false;
  }
  return true;
}

}  // namespace

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind() || a.is(Kind::kFloat)) return false;
  if (a.is_integral()) return a.as_int() == b.as_int();
  bool interned = a.is_string() && a.text().size() <= 1;
  return a.identity() == b.identity() || (interned && a.text() == b.text());
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.step();
  if (comparable_number(a) && comparable_number(b)) return compare_numbers(a, b) == Order::kEqual;
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      runtime.step(std::min(a.text().size(), b.text().size()) / 64);
      return a.text() == b.text();
    case Kind::kList:
    case Kind::kTuple: {
      const auto &x = a.items(), &y = b.items();
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i)
        if (!same(x[i], y[i]) && !equal(runtime, x[i], y[i])) return false;
      return true;
    }
    case Kind::kDict:
      return equal_dicts(runtime, a.dict(), b.dict());
    case Kind::kRange: {
      const RangeObject &x = a.range(), &y = b.range();
      return x.length == y.length && (x.length == 0 || x.start == y.start) &&
             (x.length <= 1 || x.step == y.step);
    }
    case Kind::kView:
      runtime.fail("'{}' objects can't be compared in a chat template, make them lists first", type_name(a));
    default:
      return a.identity() == b.identity();
  }
}

Order order(Runtime& runtime, const Value& a, const Value& b, std::string_view operator_text) {
  runtime.step();
  for (const Value* value : {&a, &b})
    if (value->is_undefined()) runtime.fail("{}", value->text());
  if (comparable_number(a) && comparable_number(b)) return compare_numbers(a, b);
  if (a.is_string() && b.is_string()) {
    // UTF-8 sorts like its code points.
    runtime.step(std::min(a.text().size(), b.text().size()) / 64);
    int result = a.text().compare(b.text());
    return result < 0 ? Order::kLess : result > 0 ? Order::kGreater : Order::kEqual;
  }
  if (a.is_sequence() && a.kind() == b.kind()) {
    const auto &x = a.items(), &y = b.items();
    for (size_t i = 0; i < std::min(x.size(), y.size()); ++i)
      if (!same(x[i], y[i]) && !equal(runtime, x[i], y[i])) return order(runtime, x[i], y[i], operator_text);
    return x.size() < y.size() ? Order::kLess : x.size() > y.size() ? Order::kGreater : Order::kEqual;
  }
  runtime.fail("'{}' not supported between instances of '{}' and '{}'", operator_text, type_name(a),
               type_name(b));
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kString:
      if (item.is_undefined()) runtime.fail("'in <string>' requires string as left operand, not Undefined");
      if (!item.is_string())
        runtime.fail("'in <string>' requires string as left operand, not {}", type_name(item));
      runtime.step_bytes(container.text().size());
      return find_text(container.text(), item.text()) != std::string_view::npos;
    case Kind::kDict:
      if (!hashable(runtime, item)) runtime.fail("unhashable type: '{}'", type_name(item));
      return dict_find(runtime, container.dict(), item) != nullptr;
    case Kind::kView:
      if (container.view().view == ViewKind::kKeys) return contains(runtime, container.view().dict, item);
      break;
    default:
      break;
  }
  if (!iterable(container)) runtime.fail("argument of type '{}' is not iterable", type_name(container));
  Cursor cursor(runtime, container);
  for (Value candidate; cursor.next(candidate);)
    if (same(candidate, item) || equal(runtime, candidate, item)) return true;
  return false;
}

bool compare(Runtime& runtime, CompareOp op, const Value& left, const Value& right) {
  switch (op) {
    case CompareOp::kEqual:
      return equal(runtime, left, right);
    case CompareOp::kUnequal:
      return !equal(runtime, left, right);
    case CompareOp::kIn:
      return contains(runtime, right, left);
    case CompareOp::kNotIn:
      return !contains(runtime, right, left);
    case CompareOp::kLess:
      return order(runtime, left, right, "<") == Order::kLess;
    case CompareOp::kGreater:
      return order(runtime, left, right, ">") == Order::kGreater;
    case CompareOp::kAtMost: {
      Order result = order(runtime, left, right, "<=");
      return result == Order::kLess || result == Order::kEqual;
    }
    case CompareOp::kAtLeast: {
      Order result = order(runtime, left, right, ">=");
      return result == Order::kGreater || result == Order::kEqual;
    }
  }
  return false;
}

bool hashable(Runtime& runtime, const Value& value) {
  runtime.step();
  if (value.is(Kind::kList) || value.is(Kind::kDict)) return false;
  if (value.is(Kind::kView)) return value.view().view == ViewKind::kValues;
  return !value.is(Kind::kTuple) || std::all_of(value.items().begin(), value.items().end(),
                                                [&](const Value& item) { return hashable(runtime, item); });
}

size_t hash(Runtime& runtime, const Value& value) {
  runtime.step();
  switch (value.kind()) {
    case Kind::kBool:
    case Kind::kInt:
      return SeededHash()(value.as_int());
    case Kind::kFloat: {
      // A float equal to an integer must meet it in a dict.
      double number = value.as_double();
      if (number == std::floor(number) && std::fabs(number) < 9.2e18)
        return SeededHash()(static_cast<int64_t>(number));
      return SeededHash()(std::bit_cast<int64_t>(number));
    }
    case Kind::kString:
    case Kind::kBigInt:
      runtime.step(value.text().size() / 64);
      return SeededHash()(value.text());
    case Kind::kTuple: {
      size_t seed = 0x9e3779b97f4a7c15u;
      for (const Value& item : value.items()) seed = SeededHash()(seed ^ hash(runtime, item));
      return seed;
    }
    case Kind::kRange:
      return SeededHash()(value.range().length);
    case Kind::kUndefined:
    case Kind::kMissing:
    case Kind::kNone:
      return static_cast<size_t>(value.kind());
    default:
      return SeededHash()(reinterpret_cast<uintptr_t>(value.identity()));
  }
}

const Value* dict_find(Runtime& runtime, const DictObject& dict, const Value& key) {
  if (dict.index.empty()) {
    for (const auto& [name, value] : dict.entries)
      if (equal(runtime, name, key)) return &value;
    return nullptr;
  }
  auto [begin, end] = dict.index.equal_range(hash(runtime, key));
  for (auto it = begin; it != end; ++it)
    if (equal(runtime, dict.entries[it->second].first, key)) return &dict.entries[it->second].second;
  return nullptr;
}

}  // namespace reprise::tokenizer::jinja

// Equality, order, membership and hashing by Python's rules.
#pragma once

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

bool equal(Runtime& runtime, const Value& a, const Value& b);
// Three-way order of two values, for `operator_text` ("<") in the message when they can't be ordered. NaN is
// unordered.
enum class Order { kLess, kEqual, kGreater, kUnordered };
Order order(Runtime& runtime, const Value& a, const Value& b, std::string_view operator_text);
// Python's `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);
enum class CompareOp : uint8_t { kEqual, kUnequal, kLess, kAtMost, kGreater, kAtLeast, kIn, kNotIn };
bool compare(Runtime& runtime, CompareOp op, const Value& left, const Value& right);
// Python's `a is b`, as far as values that are not shared objects can tell.
bool same(const Value& a, const Value& b);

bool hashable(Runtime& runtime, const Value& value);
// Equal values hash alike; `value` must be hashable.
size_t hash(Runtime& runtime, const Value& value);
const Value* dict_find(Runtime& runtime, const DictObject& dict, const Value& key);

}  // namespace reprise::tokenizer::jinja

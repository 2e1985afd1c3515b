// Python's arithmetic, subscripts and slices. Integers are 64 bits wide: where Python would grow them, these
// fail.
#pragma once

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

enum class BinaryOp : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };

Value binary(Runtime& runtime, BinaryOp op, const Value& left, const Value& right);
Value negate(Runtime& runtime, const Value& operand);
Value positive(Runtime& runtime, const Value& operand);

// round(): correctly rounded decimal, half to even. Fails when `digits` is negative.
Value round_number(Runtime& runtime, const Value& value, int64_t digits);

// obj[start:stop:step]; missing bounds are none.
Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step);
// obj[key] without jinja2's fallback to attributes; missing value where Python raises LookupError or
// TypeError.
Value subscript(Runtime& runtime, const Value& object, const Value& key);

}  // namespace reprise::tokenizer::jinja

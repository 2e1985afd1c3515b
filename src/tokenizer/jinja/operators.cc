#include "tokenizer/jinja/operators.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr std::string_view kOpText[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(Runtime& runtime, BinaryOp op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right})
    if (value->is_undefined()) runtime.fail("{}", value->text());
  runtime.fail("unsupported operand type(s) for {}: '{}' and '{}'", kOpText[static_cast<size_t>(op)],
               type_name(left), type_name(right));
}

[[noreturn]] void fail_overflow(Runtime& runtime) {
  runtime.fail("integer overflow: templates calculate with 64 bits");
}

// a + b, a - b or a * b.
int64_t checked(Runtime& runtime, BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = op == BinaryOp::kAdd   ? __builtin_add_overflow(a, b, &result)
                  : op == BinaryOp::kSub ? __builtin_sub_overflow(a, b, &result)
                                         : __builtin_mul_overflow(a, b, &result);
  if (overflow) fail_overflow(runtime);
  return result;
}

int64_t integer_power(Runtime& runtime, int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if (exponent & 1) result = checked(runtime, BinaryOp::kMul, result, base);
    exponent >>= 1;
    // The square is needed only when another bit follows.
    if (exponent > 0) base = checked(runtime, BinaryOp::kMul, base, base);
  }
  return result;
}

double float_power(Runtime& runtime, double base, double exponent) {
  if (base == 0 && exponent < 0) runtime.fail("0.0 cannot be raised to a negative power");
  if (base < 0 && std::isfinite(base) && std::isfinite(exponent) && exponent != std::floor(exponent))
    runtime.fail("a negative number to a fractional power is complex, which templates can't use");
  double result = std::pow(base, exponent);
  if (std::isinf(result) && std::isfinite(base) && std::isfinite(exponent))
    runtime.fail("(34, 'Numerical result out of range')");
  return result;
}

// CPython's float_divmod: the remainder takes the divisor's sign and the quotient is floored from it.
std::pair<double, double> float_divmod(double x, double y) {
  double remainder = std::fmod(x, y);
  double quotient = (x - remainder) / y;
  if (remainder != 0) {
    if ((y < 0) != (remainder < 0)) {
      remainder += y;
      quotient -= 1.0;
    }
  } else {
    remainder = std::copysign(0.0, y);
  }
  double floored;
  if (quotient != 0) {
    floored = std::floor(quotient);
    if (quotient - floored > 0.5) floored += 1.0;
  } else {
    floored = std::copysign(0.0, x / y);
  }
  return {floored, remainder};
}

Value integer_arithmetic(Runtime& runtime, BinaryOp op, int64_t a, int64_t b) {
  switch (op) {
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
    case BinaryOp::kMul:
      return Value::integer(checked(runtime, op, a, b));
    case BinaryOp::kDiv:
      if (b == 0) runtime.fail("division by zero");
      return Value::real(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod: {
      if (b == 0) runtime.fail("integer division or modulo by zero");
      if (b == -1) {  // the one quotient that can overflow
        return Value::integer(op == BinaryOp::kMod ? 0 : checked(runtime, BinaryOp::kSub, 0, a));
      }
      int64_t quotient = a / b, remainder = a % b;
      if (remainder != 0 && (remainder < 0) != (b < 0)) {
        remainder += b;
        --quotient;
      }
      return Value::integer(op == BinaryOp::kMod ? remainder : quotient);
    }
    case BinaryOp::kPow:
      if (b < 0) return Value::real(float_power(runtime, static_cast<double>(a), static_cast<double>(b)));
      return Value::integer(integer_power(runtime, a, b));
  }
  return Value::none();
}

Value float_arithmetic(Runtime& runtime, BinaryOp op, double a, double b) {
  switch (op) {
    case BinaryOp::kAdd:
      return Value::real(a + b);
    case BinaryOp::kSub:
      return Value::real(a - b);
    case BinaryOp::kMul:
      return Value::real(a * b);
    case BinaryOp::kDiv:
      if (b == 0) runtime.fail("float division by zero");
      return Value::real(a / b);
    case BinaryOp::kFloorDiv:
      if (b == 0) runtime.fail("float floor division by zero");
      return Value::real(float_divmod(a, b).first);
    case BinaryOp::kMod:
      if (b == 0) runtime.fail("float modulo");
      return Value::real(float_divmod(a, b).second);
    case BinaryOp::kPow:
      return Value::real(float_power(runtime, a, b));
  }
  return Value::none();
}

Value repeat(Runtime& runtime, const Value& sequence, int64_t count) {
  size_t times = count > 0 ? static_cast<size_t>(count) : 0;
  size_t unit = sequence.is_string() ? sequence.text().size() : sequence.items().size() * sizeof(Value);
  if (unit != 0 && times > SIZE_MAX / 2 / unit) runtime.reserve(SIZE_MAX / 2);
  runtime.reserve(unit * times);
  runtime.step_bytes(unit * times);
  if (unit == 0) times = 0;
  if (sequence.is_string()) {
    TextBuilder out(runtime);
    if (unit == 1 && !sequence.marked().any_marked())
      out.append(times, sequence.text()[0]);
    else
      for (size_t i = 0; i < times; ++i) out.append(sequence.marked());
    return runtime.string(out.take());
  }
  std::vector<Value> items;
  items.reserve(sequence.items().size() * times);
  for (size_t i = 0; i < times; ++i)
    items.insert(items.end(), sequence.items().begin(), sequence.items().end());
  return runtime.sequence(sequence.kind(), std::move(items));
}

Value add_sequences(Runtime& runtime, const Value& left, const Value& right) {
  if (left.is_string()) {
    runtime.reserve(left.text().size() + right.text().size());
    MarkedText text;
    text.text.reserve(left.text().size() + right.text().size());
    text.append(left.marked());
    text.append(right.marked());
    return runtime.string(std::move(text));
  }
  runtime.reserve((left.items().size() + right.items().size()) * sizeof(Value));
  runtime.step(left.items().size() + right.items().size());
  std::vector<Value> items = left.items();
  items.insert(items.end(), right.items().begin(), right.items().end());
  return runtime.sequence(left.kind(), std::move(items));
}

struct SliceBounds {
  int64_t start, stop, step, count;
};

SliceBounds slice_bounds(Runtime& runtime, const Value& start, const Value& stop, const Value& step,
                         int64_t length) {
  auto bound = [&](const Value& value, int64_t fallback) {
    if (value.is(Kind::kNone)) return fallback;
    if (value.is_undefined()) runtime.fail("slice indices must be integers or None, not Undefined");
    if (!value.is_integral())
      runtime.fail("slice indices must be integers or None, not '{}'", type_name(value));
    return value.as_int();
  };
  SliceBounds bounds{};
  bounds.step = bound(step, 1);
  if (bounds.step == 0) runtime.fail("slice step cannot be zero");
  bounds.step = std::max(bounds.step, -INT64_MAX);
  bool backward = bounds.step < 0;
  auto clip = [&](int64_t value) {
    if (value < 0) return std::max(value + length, backward ? int64_t{-1} : int64_t{0});
    return std::min(value, backward ? length - 1 : length);
  };
  bounds.start = start.is(Kind::kNone) ? (backward ? length - 1 : 0) : clip(bound(start, 0));
  bounds.stop = stop.is(Kind::kNone) ? (backward ? -1 : length) : clip(bound(stop, 0));
  if (backward)
    bounds.count = bounds.stop < bounds.start ? (bounds.start - bounds.stop - 1) / -bounds.step + 1 : 0;
  else
    bounds.count = bounds.start < bounds.stop ? (bounds.stop - bounds.start - 1) / bounds.step + 1 : 0;
  return bounds;
}

Value slice_string(Runtime& runtime, const Value& object, const SliceBounds& bounds) {
  const StringObject& string = object.string();
  runtime.step_bytes(string.text.size());
  if (bounds.count == 0) return runtime.string("");
  if (bounds.step == 1) {
    size_t begin = static_cast<size_t>(bounds.start), count = static_cast<size_t>(bounds.count);
    if (!string.ascii()) {
      begin = byte_offset(string.text, begin);
      count = byte_offset(std::string_view(string.text).substr(begin), count);
    }
    return runtime.substring(object.marked().substr(begin, count));
  }
  runtime.reserve(sizeof(size_t) * (string.length + 1));
  std::vector<size_t> begins;  // of the characters
  begins.reserve(string.length + 1);
  for (size_t i = 0; i < string.text.size(); decode_point(string.text, i)) begins.push_back(i);
  begins.push_back(string.text.size());
  TextBuilder out(runtime);
  for (int64_t i = 0; i < bounds.count; ++i) {
    size_t at = static_cast<size_t>(bounds.start + i * bounds.step);
    out.append(object.marked().substr(begins[at], begins[at + 1] - begins[at]));
  }
  return runtime.string(out.take());
}

}  // namespace

Value binary(Runtime& runtime, BinaryOp op, const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    if (left.is(Kind::kFloat) || right.is(Kind::kFloat))
      return float_arithmetic(runtime, op, left.as_double(), right.as_double());
    return integer_arithmetic(runtime, op, left.as_int(), right.as_int());
  }
  if ((left.is(Kind::kBigInt) || right.is(Kind::kBigInt)) && !left.is_string() && !right.is_string())
    fail_overflow(runtime);
  if (op == BinaryOp::kMod && left.is_string()) return percent_format(runtime, left, right);
  if (op == BinaryOp::kAdd && left.kind() == right.kind() && (left.is_string() || left.is_sequence()))
    return add_sequences(runtime, left, right);
  if (op == BinaryOp::kMul) {
    if ((left.is_string() || left.is_sequence()) && right.is_integral())
      return repeat(runtime, left, right.as_int());
    if ((right.is_string() || right.is_sequence()) && left.is_integral())
      return repeat(runtime, right, left.as_int());
  }
  fail_operands(runtime, op, left, right);
}

Value negate(Runtime& runtime, const Value& operand) {
  if (operand.is(Kind::kFloat)) return Value::real(-operand.as_double());
  if (operand.is_integral()) return integer_arithmetic(runtime, BinaryOp::kSub, 0, operand.as_int());
  if (operand.is_undefined()) runtime.fail("{}", operand.text());
  runtime.fail("bad operand type for unary -: '{}'", type_name(operand));
}

Value positive(Runtime& runtime, const Value& operand) {
  if (operand.is(Kind::kFloat)) return operand;
  if (operand.is_integral()) return Value::integer(operand.as_int());
  if (operand.is_undefined()) runtime.fail("{}", operand.text());
  runtime.fail("bad operand type for unary +: '{}'", type_name(operand));
}

Value round_number(Runtime& runtime, const Value& value, int64_t digits) {
  if (!value.is_number()) runtime.fail("type {} doesn't define __round__ method", type_name(value));
  if (digits < 0) runtime.fail("round: the precision is {}, chat templates know 0 and above", digits);
  if (!value.is(Kind::kFloat)) return Value::integer(value.as_int());
  if (!std::isfinite(value.as_double()) || digits > 330) return value;
  // glibc prints the exact decimal expansion, rounded half to even, as CPython's dtoa does.
  char buffer[700];
  snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(digits), value.as_double());
  return Value::real(strtod(buffer, nullptr));
}

Value slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (object.is_undefined()) runtime.fail("{}", object.text());
  if (object.is(Kind::kRange))
    runtime.fail("a range can't be sliced in a chat template, make it a list first");
  if (!object.is_string() && !object.is_sequence())
    runtime.fail("'{}' object can't be sliced", type_name(object));
  SliceBounds bounds = slice_bounds(runtime, start, stop, step, *length_of(object));
  if (object.is_string()) return slice_string(runtime, object, bounds);
  runtime.step(static_cast<uint64_t>(bounds.count));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(bounds.count));
  for (int64_t i = 0; i < bounds.count; ++i)
    items.push_back(object.items()[static_cast<size_t>(bounds.start + i * bounds.step)]);
  return runtime.sequence(object.kind(), std::move(items));
}

Value subscript(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_undefined()) runtime.fail("{}", object.text());
  if (object.is(Kind::kDict)) {
    if (!hashable(runtime, key)) return Value();
    const Value* found = dict_find(runtime, object.dict(), key);
    return found ? *found : Value();
  }
  if (!object.is_string() && !object.is_sequence() && !object.is(Kind::kRange)) return Value();
  if (!key.is_integral()) return Value();
  int64_t length = *length_of(object), index = key.as_int();
  if (index < 0) index += length;
  if (index < 0 || index >= length) return Value();
  if (object.is_sequence()) return object.items()[static_cast<size_t>(index)];
  if (object.is(Kind::kRange)) return Value::integer(object.range().start + index * object.range().step);
  const StringObject& string = object.string();
  size_t begin = static_cast<size_t>(index);
  if (!string.ascii()) {
    runtime.step_bytes(string.text.size());
    begin = byte_offset(string.text, begin);
  }
  size_t end = begin;
  decode_point(string.text, end);
  return runtime.substring(object.marked().substr(begin, end - begin));
}

}  // namespace reprise::tokenizer::jinja

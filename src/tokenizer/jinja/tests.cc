// jinja2's builtin tests (`x is odd`).
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

const Value& subject(Runtime& runtime, const Arguments& arguments) {
  return Bound(runtime, "test", arguments, {"/value"}, 1)[0];
}

template <Kind kind>
bool is_kind(Runtime& runtime, Arguments& arguments) {
  return subject(runtime, arguments).is(kind);
}

template <bool wanted>
bool is_bool(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return value.is(Kind::kBool) && value.as_bool() == wanted;
}

bool is_defined(Runtime& runtime, Arguments& arguments) {
  return !subject(runtime, arguments).is_undefined();
}

bool remainder_is(Runtime& runtime, const Value& value, const Value& divisor, int64_t wanted) {
  return equal(runtime, binary(runtime, BinaryOp::kMod, value, divisor), Value::integer(wanted));
}

// odd and even.
template <int64_t wanted>
bool is_parity(Runtime& runtime, Arguments& arguments) {
  return remainder_is(runtime, subject(runtime, arguments), Value::integer(2), wanted);
}

bool is_divisible(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "divisibleby", arguments, {"/value", "num"}, 2);
  return remainder_is(runtime, bound[0], bound[1], 0);
}

bool is_number(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return value.is_number() || value.is(Kind::kBigInt);
}

bool is_integer(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return value.is(Kind::kInt) || value.is(Kind::kBigInt);
}

bool is_sequence(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return length_of(value).has_value() && !value.is(Kind::kView);
}

// The loop variable is an iterator too; its type alone tells.
bool is_iterable(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return iterable(value) || type_name(value) == "LoopContext";
}

// An undefined value has __call__, which raises.
bool is_callable(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  return value.is_undefined() || (value.is(Kind::kHost) && value.host().callable());
}

template <bool (*test)(std::string_view)>
bool is_text(Runtime& runtime, Arguments& arguments) {
  Value text = to_str(runtime, subject(runtime, arguments));
  runtime.step_bytes(2 * text.text().size());
  return test(text.text());
}

bool is_same(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "sameas", arguments, {"/value", "other"}, 2);
  return same(bound[0], bound[1]);
}

// eq, lt and so on.
template <CompareOp op>
bool compares(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "comparison", arguments, {"/a", "/b"}, 2);
  return compare(runtime, op, bound[0], bound[1]);
}

struct Test {
  std::string_view name;
  TestFunction function;
};
constexpr Test kTests[] = {{"odd", is_parity<1>},
                           {"even", is_parity<0>},
                           {"divisibleby", is_divisible},
                           {"defined", is_defined},
                           {"undefined", is_kind<Kind::kUndefined>},
                           {"none", is_kind<Kind::kNone>},
                           {"boolean", is_kind<Kind::kBool>},
                           {"false", is_bool<false>},
                           {"true", is_bool<true>},
                           {"integer", is_integer},
                           {"float", is_kind<Kind::kFloat>},
                           {"lower", is_text<is_lower_text>},
                           {"upper", is_text<is_upper_text>},
                           {"string", is_kind<Kind::kString>},
                           {"mapping", is_kind<Kind::kDict>},
                           {"number", is_number},
                           {"sequence", is_sequence},
                           {"iterable", is_iterable},
                           {"callable", is_callable},
                           {"sameas", is_same},
                           {"in", compares<CompareOp::kIn>},
                           {"==", compares<CompareOp::kEqual>},
                           {"eq", compares<CompareOp::kEqual>},
                           {"equalto", compares<CompareOp::kEqual>},
                           {"!=", compares<CompareOp::kUnequal>},
                           {"ne", compares<CompareOp::kUnequal>},
                           {">", compares<CompareOp::kGreater>},
                           {"gt", compares<CompareOp::kGreater>},
                           {"greaterthan", compares<CompareOp::kGreater>},
                           {">=", compares<CompareOp::kAtLeast>},
                           {"ge", compares<CompareOp::kAtLeast>},
                           {"<", compares<CompareOp::kLess>},
                           {"lt", compares<CompareOp::kLess>},
                           {"lessthan", compares<CompareOp::kLess>},
                           {"<=", compares<CompareOp::kAtMost>},
                           {"le", compares<CompareOp::kAtMost>}};

}  // namespace

TestFunction find_test(std::string_view name) {
  for (const Test& test : kTests)
    if (test.name == name) return test.function;
  return nullptr;
}

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const Test& test : kTests) names.emplace_back(test.name);
  return names;
}

}  // namespace reprise::tokenizer::jinja

// jinja2's builtin tests (`x is odd`).
#include <map>

#include "tokenizer/template/compare.h"
#include "tokenizer/template/filters.h"
#include "tokenizer/template/methods_string.h"
#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"

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

bool is_odd(Runtime& runtime, Arguments& arguments) {
  return remainder_is(runtime, subject(runtime, arguments), Value::integer(2), 1);
}

bool is_even(Runtime& runtime, Arguments& arguments) {
  return remainder_is(runtime, subject(runtime, arguments), Value::integer(2), 0);
}

bool is_divisible(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "divisibleby", arguments, {"/value", "num"}, 2);
  return remainder_is(runtime, bound[0], bound[1], 0);
}

bool is_filter(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  if (!hashable(runtime, value)) runtime.fail("unhashable type: '{}'", type_name(value));
  return value.is_string() && find_filter(value.text());
}

bool is_test(Runtime& runtime, Arguments& arguments) {
  const Value& value = subject(runtime, arguments);
  if (!hashable(runtime, value)) runtime.fail("unhashable type: '{}'", type_name(value));
  return value.is_string() && find_test(value.text());
}

bool is_number(Runtime& runtime, Arguments& arguments) {
  return subject(runtime, arguments).is_number();
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

bool is_lower(Runtime& runtime, Arguments& arguments) {
  Value text = to_str(runtime, subject(runtime, arguments));
  runtime.step_bytes(2 * text.text().size());
  return is_lower_text(text.text());
}

bool is_upper(Runtime& runtime, Arguments& arguments) {
  Value text = to_str(runtime, subject(runtime, arguments));
  runtime.step_bytes(2 * text.text().size());
  return is_upper_text(text.text());
}

bool is_same(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "sameas", arguments, {"/value", "other"}, 2);
  return same(bound[0], bound[1]);
}

bool is_in(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "in", arguments, {"/value", "seq"}, 2);
  return contains(runtime, bound[1], bound[0]);
}

bool is_equal(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "eq", arguments, {"/a", "/b"}, 2);
  return equal(runtime, bound[0], bound[1]);
}

bool is_unequal(Runtime& runtime, Arguments& arguments) {
  return !is_equal(runtime, arguments);
}

Order compare(Runtime& runtime, const Arguments& arguments, std::string_view text) {
  Bound bound(runtime, text, arguments, {"/a", "/b"}, 2);
  return order(runtime, bound[0], bound[1], text);
}

bool is_less(Runtime& runtime, Arguments& arguments) {
  return compare(runtime, arguments, "<") == Order::kLess;
}
bool is_greater(Runtime& runtime, Arguments& arguments) {
  return compare(runtime, arguments, ">") == Order::kGreater;
}
bool is_at_most(Runtime& runtime, Arguments& arguments) {
  Order result = compare(runtime, arguments, "<=");
  return result == Order::kLess || result == Order::kEqual;
}
bool is_at_least(Runtime& runtime, Arguments& arguments) {
  Order result = compare(runtime, arguments, ">=");
  return result == Order::kGreater || result == Order::kEqual;
}

const std::map<std::string_view, TestFunction>& tests() {
  static const std::map<std::string_view, TestFunction> table = {
      {"odd", is_odd},
      {"even", is_even},
      {"divisibleby", is_divisible},
      {"defined", is_defined},
      {"undefined", is_kind<Kind::kUndefined>},
      {"filter", is_filter},
      {"test", is_test},
      {"none", is_kind<Kind::kNone>},
      {"boolean", is_kind<Kind::kBool>},
      {"false", is_bool<false>},
      {"true", is_bool<true>},
      {"integer", is_kind<Kind::kInt>},
      {"float", is_kind<Kind::kFloat>},
      {"lower", is_lower},
      {"upper", is_upper},
      {"string", is_kind<Kind::kString>},
      {"mapping", is_kind<Kind::kDict>},
      {"number", is_number},
      {"sequence", is_sequence},
      {"iterable", is_iterable},
      {"callable", is_callable},
      {"sameas", is_same},
      {"in", is_in},
      {"==", is_equal},
      {"eq", is_equal},
      {"equalto", is_equal},
      {"!=", is_unequal},
      {"ne", is_unequal},
      {">", is_greater},
      {"gt", is_greater},
      {"greaterthan", is_greater},
      {"ge", is_at_least},
      {">=", is_at_least},
      {"<", is_less},
      {"lt", is_less},
      {"lessthan", is_less},
      {"<=", is_at_most},
      {"le", is_at_most},
  };
  return table;
}

}  // namespace

TestFunction find_test(std::string_view name) {
  auto it = tests().find(name);
  return it == tests().end() ? nullptr : it->second;
}

std::vector<std::string> test_names() {
  std::vector<std::string> names;
  for (const auto& [name, function] : tests()) names.emplace_back(name);
  return names;
}

}  // namespace reprise::tokenizer::jinja

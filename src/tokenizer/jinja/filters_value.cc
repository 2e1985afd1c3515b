// Filters over single values: abs, default, int, float, round, tojson.
#include <cmath>
#include <cstdlib>

#include "core/json.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/json_text.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/strings.h"

namespace reprise::tokenizer::jinja {
namespace {

// What Python's int() and float() read of a text: without white space around it and single underscores
// between digits; absent where an underscore stands elsewhere.
std::optional<std::string> number_text(std::string_view text) {
  text = strip(text, nullptr, true, true);
  auto is_digit_at = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_')
      out += text[i];
    else if (i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1))
      return std::nullopt;
  }
  return out;
}

std::optional<int64_t> parse_integer(Runtime& runtime, std::string_view text) {
  std::optional<std::string> number = number_text(text);
  if (!number) return std::nullopt;
  size_t sign = number->starts_with('-') || number->starts_with('+');
  if (number->size() == sign || number->find_first_not_of("0123456789", sign) != number->npos)
    return std::nullopt;
  errno = 0;
  int64_t value = strtoll(number->c_str(), nullptr, 10);
  if (errno == ERANGE) runtime.fail("integer overflow: {} does not fit 64 bits", *number);
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  std::optional<std::string> number = number_text(text);
  if (!number || number->empty()) return std::nullopt;
  std::string word = *number;
  for (char& c : word) c = static_cast<char>(c | 0x20);
  size_t sign = (*number)[0] == '-' || (*number)[0] == '+';
  word.erase(0, sign);
  bool named = word == "inf" || word == "infinity" || word == "nan";
  if (!named && number->find_first_not_of("0123456789.eE+-") != number->npos) return std::nullopt;
  char* end = nullptr;
  double value = strtod(number->c_str(), &end);
  if (end != number->c_str() + number->size()) return std::nullopt;
  return value;
}

Value abs_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "abs", arguments, {"/x"}, 1);
  if (!bound[0].is_number()) runtime.fail("bad operand type for abs(): '{}'", type_name(bound[0]));
  if (bound[0].is(Kind::kFloat)) return Value::real(std::fabs(bound[0].as_double()));
  return bound[0].as_int() < 0 ? negate(runtime, bound[0]) : positive(runtime, bound[0]);
}

Value default_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "default", arguments, {"/value", "default_value", "boolean"}, 1);
  if (bound[0].is_undefined() || (bound.flag(2) && !truthy(bound[0])))
    return bound.has(1) ? bound[1] : runtime.string("");
  return bound[0];
}

Value truncated(Runtime& runtime, double number) {
  if (!(std::fabs(number) < 9.2e18)) runtime.fail("integer overflow: {} does not fit 64 bits", number);
  return Value::integer(static_cast<int64_t>(std::trunc(number)));
}

Value int_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "int", arguments, {"/value", "default"}, 1);
  const Value& value = bound[0];
  Value fallback = bound.has(1) ? bound[1] : Value::integer(0);
  if (value.is_undefined()) runtime.fail("{}", value.text());
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is(Kind::kBigInt)) return value;
  if (value.is(Kind::kFloat)) {
    if (std::isnan(value.as_double())) return fallback;
    return truncated(runtime, value.as_double());
  }
  if (!value.is_string()) return fallback;
  runtime.step_bytes(8 * value.text().size());
  if (auto number = parse_integer(runtime, value.text())) return Value::integer(*number);
  auto number = parse_float(value.text());
  if (!number || !std::isfinite(*number)) return fallback;
  return truncated(runtime, *number);
}

Value float_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "float", arguments, {"/value", "default"}, 1);
  if (bound[0].is_undefined()) runtime.fail("{}", bound[0].text());
  if (bound[0].is_number()) return Value::real(bound[0].as_double());
  if (bound[0].is_string() || bound[0].is(Kind::kBigInt)) {
    runtime.step_bytes(8 * bound[0].text().size());
    if (auto number = parse_float(bound[0].text())) return Value::real(*number);
  }
  return bound.has(1) ? bound[1] : Value::real(0.0);
}

Value round_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "round", arguments, {"/value", "precision", "method"}, 1);
  std::string method = bound.has(2) && bound[2].is_string() ? bound[2].text() : bound.has(2) ? "" : "common";
  if (method != "common" && method != "ceil" && method != "floor")
    runtime.fail("method must be common, ceil or floor");
  if (method == "common") {
    if (bound[0].is(Kind::kFloat) && bound.has(1) && bound[1].is(Kind::kNone))
      return truncated(runtime, round_number(runtime, bound[0], 0).as_double());
    return round_number(runtime, bound[0],
                        bound.has(1) && bound[1].is(Kind::kNone) ? 0 : bound.integer(1, 0));
  }
  Value scale =
      binary(runtime, BinaryOp::kPow, Value::integer(10), bound.has(1) ? bound[1] : Value::integer(0));
  Value scaled = binary(runtime, BinaryOp::kMul, bound[0], scale);
  if (!scaled.is_number()) runtime.fail("must be real number, not {}", type_name(scaled));
  if (scaled.is(Kind::kFloat))
    scaled =
        truncated(runtime, method == "ceil" ? std::ceil(scaled.as_double()) : std::floor(scaled.as_double()));
  return binary(runtime, BinaryOp::kDiv, scaled, scale);
}

Value tojson(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "tojson", arguments, {"/x", "ensure_ascii", "indent", "separators", "sort_keys"}, 1);
  JsonStyle style;
  style.ensure_ascii = bound.flag(1);
  style.sort_keys = bound.flag(4);
  Value indent = bound.value(2);
  if (indent.is_string()) {
    style.indent = MarkedText(indent.marked());
  } else if (!indent.is(Kind::kNone)) {
    int64_t width = std::max<int64_t>(bound.integer(2, 0), 0);
    runtime.reserve(static_cast<size_t>(width));
    style.indent = MarkedText(std::string(static_cast<size_t>(width), ' '));
  }
  if (style.indent) style.item_separator = MarkedText(",");
  if (!bound.value(3).is(Kind::kNone)) {
    std::vector<Value> separators = to_vector(runtime, bound[3]);
    if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string())
      runtime.fail("tojson(): separators must be a pair of str");
    style.item_separator = MarkedText(separators[0].marked());
    style.key_separator = MarkedText(separators[1].marked());
  }
  return runtime.string(to_json_text(runtime, bound[0], style));
}

constexpr Filter kValueFilters[] = {
    {"abs", abs_filter}, {"d", default_filter},   {"default", default_filter}, {"float", float_filter},
    {"int", int_filter}, {"round", round_filter}, {"tojson", tojson}};

}  // namespace

std::span<const Filter> value_filters() {
  return kValueFilters;
}

}  // namespace reprise::tokenizer::jinja

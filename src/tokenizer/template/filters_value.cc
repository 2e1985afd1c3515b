// Filters over single values: abs, default, int, float, round, tojson.
#include <cmath>
#include <cstdlib>

#include "tokenizer/template/filters.h"
#include "tokenizer/template/json_text.h"
#include "tokenizer/template/methods_string.h"
#include "tokenizer/template/numbers.h"
#include "tokenizer/template/operators.h"

namespace reprise::tokenizer::jinja {
namespace {

// Digits with single underscores between them removed; absent when a digit is missing.
std::optional<std::string> plain_digits(std::string_view text, int64_t base) {
  std::string digits;
  bool after_digit = false;
  for (char c : text) {
    int64_t digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'z' ? c - 'a' + 10
                    : c >= 'A' && c <= 'Z' ? c - 'A' + 10
                                           : 99;
    if (c == '_' && after_digit) {
      after_digit = false;
    } else if (digit < base) {
      digits += c;
      after_digit = true;
    } else {
      return std::nullopt;
    }
  }
  if (!after_digit) return std::nullopt;
  return digits;
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
  Bound bound(runtime, "int", arguments, {"/value", "default", "base"}, 1);
  const Value& value = bound[0];
  Value fallback = bound.has(1) ? bound[1] : Value::integer(0);
  if (value.is_undefined()) runtime.fail("{}", value.text());
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is(Kind::kFloat)) {
    if (std::isnan(value.as_double())) return fallback;
    return truncated(runtime, value.as_double());
  }
  if (!value.is_string()) return fallback;
  runtime.step_bytes(8 * value.text().size());
  bool usable_base = !bound.has(2) || bound[2].is_integral();
  if (usable_base) {
    if (auto number = parse_integer(runtime, value.text(), bound.integer(2, 10)))
      return Value::integer(*number);
  }
  auto number = parse_float(value.text());
  if (!number || !std::isfinite(*number)) return fallback;
  return truncated(runtime, *number);
}

Value float_filter(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "float", arguments, {"/value", "default"}, 1);
  if (bound[0].is_undefined()) runtime.fail("{}", bound[0].text());
  if (bound[0].is_number()) return Value::real(bound[0].as_double());
  if (bound[0].is_string()) {
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

constexpr Filter kFilters[] = {{"abs", abs_filter},     {"d", default_filter}, {"default", default_filter},
                               {"float", float_filter}, {"int", int_filter},   {"round", round_filter},
                               {"tojson", tojson}};

}  // namespace

std::optional<int64_t> parse_integer(Runtime& runtime, std::string_view text, int64_t base) {
  text = strip(text, nullptr, true, true);
  bool negative = !text.empty() && text[0] == '-';
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (base != 0 && (base < 2 || base > 36)) return std::nullopt;
  // 0x, 0o and 0b are taken where they fit the base; base 0 goes by them.
  auto prefixed = [&](char letter, int64_t for_base) {
    if (text.size() < 2 || text[0] != '0' || (text[1] | 0x20) != letter || (base != 0 && base != for_base))
      return false;
    text.remove_prefix(2);
    if (!text.empty() && text[0] == '_') text.remove_prefix(1);
    base = for_base;
    return true;
  };
  if (!prefixed('x', 16) && !prefixed('o', 8) && !prefixed('b', 2) && base == 0) {
    if (text.size() > 1 && text[0] == '0' && text.find_first_not_of("0_") != text.npos) return std::nullopt;
    base = 10;
  }
  std::optional<std::string> digits = plain_digits(text, base);
  if (!digits) return std::nullopt;
  errno = 0;
  int64_t number = strtoll(((negative ? "-" : "") + *digits).c_str(), nullptr, static_cast<int>(base));
  if (errno == ERANGE) runtime.fail("integer overflow: {} does not fit 64 bits", text);
  return number;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip(text, nullptr, true, true);
  std::string number;
  size_t i = 0;
  if (i < text.size() && (text[i] == '+' || text[i] == '-')) number += text[i++];
  std::string word;
  for (char c : text.substr(i)) word += static_cast<char>(c | 0x20);
  if (word == "inf" || word == "infinity") return number == "-" ? -HUGE_VAL : HUGE_VAL;
  if (word == "nan") return std::nan("");
  // Underscores may stand between two digits only.
  auto take_digits = [&] {
    size_t begin = i;
    while (i < text.size()) {
      bool digit = text[i] >= '0' && text[i] <= '9';
      bool underscore = text[i] == '_' && i > begin && text[i - 1] != '_' && i + 1 < text.size() &&
                        text[i + 1] >= '0' && text[i + 1] <= '9';
      if (!digit && !underscore) break;
      if (digit) number += text[i];
      ++i;
    }
    return i > begin;
  };
  bool whole = take_digits(), fraction = false;
  if (i < text.size() && text[i] == '.') {
    number += text[i++];
    fraction = take_digits();
  }
  if (!whole && !fraction) return std::nullopt;
  if (i < text.size() && (text[i] | 0x20) == 'e') {
    number += text[i++];
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) number += text[i++];
    if (!take_digits()) return std::nullopt;
  }
  if (i != text.size()) return std::nullopt;
  return strtod(number.c_str(), nullptr);
}

std::span<const Filter> value_filters() {
  return kFilters;
}

}  // namespace reprise::tokenizer::jinja

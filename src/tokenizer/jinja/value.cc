#include "tokenizer/jinja/value.h"

#include <fmt/core.h>

#include "tokenizer/jinja/runtime.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {

Value constant_string(std::string text) {
  auto object = std::make_shared<StringObject>();
  object->length = count_points(text);
  object->text = std::move(text);
  return Value(Kind::kString, std::move(object));
}

std::string_view type_name(const Value& value) {
  constexpr std::string_view kViews[] = {"dict_keys", "dict_values", "dict_items"};
  if (value.is(Kind::kView)) return kViews[static_cast<size_t>(value.view().view)];
  if (value.is(Kind::kIterator)) return value.iterator().type_name;
  if (value.is(Kind::kHost)) return value.host().type_name();
  constexpr std::string_view kNames[] = {"Undefined", "Undefined", "NoneType", "bool",  "int",  "int",
                                         "float",     "str",       "list",     "tuple", "dict", "range"};
  static_assert(std::size(kNames) == static_cast<size_t>(Kind::kRange) + 1);
  return kNames[static_cast<size_t>(value.kind())];
}

std::string describe_type(const Value& value) {
  if (value.is(Kind::kNone)) return "None";
  return std::string(type_name(value)) + " object";
}

bool truthy(const Value& value) {
  if (value.is_integral()) return value.as_int() != 0;
  if (value.is(Kind::kFloat)) return value.as_double() != 0.0;
  if (value.is(Kind::kMissing) || value.is(Kind::kNone)) return false;
  return length_of(value).value_or(1) != 0;
}

MarkedText HostObject::repr(Runtime&) const {
  return MarkedText(fmt::format("<{} object>", type_name()));
}

std::optional<Value> HostObject::attribute(Runtime&, const Value&, std::string_view) {
  return std::nullopt;
}

Value HostObject::call(Runtime& runtime, Arguments&) {
  runtime.fail("'{}' object is not callable", type_name());
}

}  // namespace reprise::tokenizer::jinja

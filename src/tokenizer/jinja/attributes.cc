#include "tokenizer/jinja/attributes.h"

#include <fmt/core.h>

#include <algorithm>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// Python's own names ("__class__"), and methods that change their object.
bool is_unsafe(const Value& object, std::string_view name) {
  return (name.size() > 4 && name.starts_with("__") && name.ends_with("__")) ||
         (object.is(Kind::kList) && among(kListChanges, name)) ||
         (object.is(Kind::kDict) && among(kDictChanges, name));
}

// Attributes of Python's numbers and ranges and of jinja2's macros that chat templates have no use for. An
// undefined value would print as nothing; this fails.
void refuse_unavailable(Runtime& runtime, const Value& object, std::string_view name) {
  static constexpr std::string_view kOfNumbers[] = {"real", "imag", "numerator", "denominator"};
  static constexpr std::string_view kOfRanges[] = {"start", "stop", "step"};
  static constexpr std::string_view kOfMacros[] = {"name",          "arguments", "catch_kwargs",
                                                   "catch_varargs", "caller",    "explicit_caller"};
  if ((object.is_number() && among(kOfNumbers, name)) ||
      (object.is(Kind::kRange) && among(kOfRanges, name)) ||
      (type_name(object) == "Macro" && among(kOfMacros, name)))
    runtime.fail("the attribute {} of {} is not available in chat templates", quote(name), type_name(object));
}

std::span<const Method> methods_of(const Value& object) {
  switch (object.kind()) {
    case Kind::kString:
      return string_methods();
    case Kind::kList:
      return sequence_methods();
    case Kind::kTuple:
    case Kind::kRange:
      return sequence_methods().first(2);  // no copy
    case Kind::kDict:
      return dict_methods();
    default:
      return {};
  }
}

// The attribute, an undefined value for an unsafe one, or absent.
std::optional<Value> safe_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (object.is_undefined()) runtime.fail("{}", object.text());
  if (is_unsafe(object, name))
    return runtime.undefined(
        fmt::format("access to attribute {} of '{}' object is unsafe.", quote(name), type_name(object)));
  refuse_unavailable(runtime, object, name);
  if (object.is(Kind::kHost)) return object.host().attribute(runtime, object, name);
  return find_method(runtime, methods_of(object), object, name);
}

Value no_attribute(Runtime& runtime, const Value& object, const Value& key) {
  if (!key.is_string())
    return runtime.undefined(
        fmt::format("{} has no element {}", describe_type(object), to_repr(runtime, key).text));
  return runtime.undefined(fmt::format("'{}' has no attribute {}", describe_type(object), quote(key.text())));
}

}  // namespace

MarkedText Function::repr(Runtime&) const {
  return MarkedText(fmt::format("<function {}>", name_));
}

Value bind(Runtime& runtime, const Method& method, const Value& self) {
  return runtime.host<Function>(self.depth() + 1, method.name, method.function, self);
}

std::optional<Value> find_method(Runtime& runtime, std::span<const Method> methods, const Value& self,
                                 std::string_view name) {
  for (const Method& method : methods)
    if (method.name == name) return bind(runtime, method, self);
  return std::nullopt;
}

Value get_attribute(Runtime& runtime, const Value& object, const Value& name, bool or_item) {
  runtime.step();
  // A dict's own methods are few; its items are what templates ask for.
  if (auto found = safe_attribute(runtime, object, name.text())) return *found;
  if (or_item && object.is(Kind::kDict)) {
    if (const Value* item = dict_find(runtime, object.dict(), name)) return *item;
  }
  return no_attribute(runtime, object, name);
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
  runtime.step();
  Value item = subscript(runtime, object, key);
  if (!item.is(Kind::kMissing)) return item;
  if (key.is_string()) {
    if (auto found = safe_attribute(runtime, object, key.text())) return *found;
  }
  return no_attribute(runtime, object, key);
}

}  // namespace reprise::tokenizer::jinja

#include "tokenizer/template/attributes.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tokenizer/template/operators.h"
#include "tokenizer/template/text.h"

namespace reprise::tokenizer::jinja {
namespace {

// What every Python object has. Found, but never handed out.
constexpr std::string_view kObjectAttributes[] = {
    "__class__",   "__delattr__", "__dir__",           "__doc__",         "__eq__",
    "__format__",  "__ge__",      "__getattribute__",  "__getstate__",    "__gt__",
    "__hash__",    "__init__",    "__init_subclass__", "__le__",          "__lt__",
    "__ne__",      "__new__",     "__reduce__",        "__reduce_ex__",   "__repr__",
    "__setattr__", "__sizeof__",  "__str__",           "__subclasshook__"};
constexpr std::string_view kContainerAttributes[] = {"__contains__", "__getitem__", "__iter__", "__len__"};

constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

template <size_t N>
bool among(const std::string_view (&names)[N], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

bool has_internal(const Value& object, std::string_view name) {
  if (!name.starts_with("__")) return false;
  if (among(kObjectAttributes, name)) return true;
  return length_of(object) && among(kContainerAttributes, name);
}

bool changes(const Value& object, std::string_view name) {
  return (object.is(Kind::kList) && among(kListChanges, name)) ||
         (object.is(Kind::kDict) && among(kDictChanges, name));
}

Value bit_length(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "bit_length", arguments, {});
  int64_t number = self.as_int();
  uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  return Value::integer(std::bit_width(magnitude));
}

Value bit_count(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "bit_count", arguments, {});
  int64_t number = self.as_int();
  uint64_t magnitude = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  return Value::integer(std::popcount(magnitude));
}

Value conjugate(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "conjugate", arguments, {});
  return positive(runtime, self);
}

Value is_integer(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "is_integer", arguments, {});
  return Value::boolean(std::isfinite(self.as_double()) && self.as_double() == std::floor(self.as_double()));
}

constexpr Method kIntegerMethods[] = {
    {"bit_length", bit_length}, {"bit_count", bit_count}, {"conjugate", conjugate}};
constexpr Method kFloatMethods[] = {{"is_integer", is_integer}, {"conjugate", conjugate}};

std::optional<Value> number_attribute(Runtime& runtime, const Value& number, std::string_view name) {
  bool is_float = number.is(Kind::kFloat);
  if (name == "real") return positive(runtime, number);
  if (name == "imag") return is_float ? Value::real(0.0) : Value::integer(0);
  if (!is_float && name == "numerator") return positive(runtime, number);
  if (!is_float && name == "denominator") return Value::integer(1);
  if (is_float) return find_method(runtime, kFloatMethods, number, name);
  return find_method(runtime, kIntegerMethods, number, name);
}

// Python's getattr without the names that `has_internal` and `changes` cover.
std::optional<Value> public_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return number_attribute(runtime, object, name);
    case Kind::kString:
      return find_method(runtime, string_methods(), object, name);
    case Kind::kTuple:
      if (static_cast<const ListObject*>(object.identity())->is_group) {
        if (name == "grouper") return object.items()[0];
        if (name == "list") return object.items()[1];
      }
      return name == "copy" ? std::nullopt : find_method(runtime, sequence_methods(), object, name);
    case Kind::kList:
      return find_method(runtime, sequence_methods(), object, name);
    case Kind::kDict:
      return find_method(runtime, dict_methods(), object, name);
    case Kind::kRange:
      if (name == "start") return Value::integer(object.range().start);
      if (name == "stop") return Value::integer(object.range().stop);
      if (name == "step") return Value::integer(object.range().step);
      return name == "copy" ? std::nullopt : find_method(runtime, sequence_methods(), object, name);
    case Kind::kHost:
      return object.host().attribute(runtime, object, name);
    default:
      return std::nullopt;
  }
}

// The attribute, an undefined value for an unsafe one, or absent.
std::optional<Value> safe_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (has_internal(object, name) || changes(object, name))
    return runtime.undefined(
        fmt::format("access to attribute {} of '{}' object is unsafe.", quote(name), type_name(object)));
  if (object.is_undefined()) runtime.fail("{}", object.text());
  return public_attribute(runtime, object, name);
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

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  runtime.step();
  // A dict's own methods are few; its items are what templates ask for.
  if (auto found = safe_attribute(runtime, object, name)) return *found;
  if (object.is(Kind::kDict)) {
    if (const Value* item = object.dict().find(name)) return *item;
  }
  return no_attribute(runtime, object, runtime.string(std::string(name)));
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

Value get_attribute_only(Runtime& runtime, const Value& object, std::string_view name) {
  if (auto found = safe_attribute(runtime, object, name)) return *found;
  return no_attribute(runtime, object, runtime.string(std::string(name)));
}

}  // namespace reprise::tokenizer::jinja

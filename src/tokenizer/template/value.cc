#include "tokenizer/template/value.h"

#include "core/seeded_hash.h"
#include "tokenizer/template/runtime.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {

Value constant_string(std::string text) {
  auto object = std::make_shared<StringObject>();
  object->length = count_points(text);
  object->text = std::move(text);
  return Value(Kind::kString, std::move(object));
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kRange:
      return "range";
    case Kind::kView:
      return value.view().view == ViewKind::kKeys     ? "dict_keys"
             : value.view().view == ViewKind::kValues ? "dict_values"
                                                      : "dict_items";
    case Kind::kIterator:
      return value.iterator().type_name;
    case Kind::kHost:
      return value.host().type_name();
  }
  return "object";
}

std::string describe_type(const Value& value) {
  if (value.is(Kind::kNone)) return "None";
  return std::string(type_name(value)) + " object";
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_double() != 0.0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
      return !value.items().empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kRange:
      return value.range().length != 0;
    case Kind::kView:
      return !value.view().dict.dict().entries.empty();
    case Kind::kIterator:
    case Kind::kHost:
      return true;
  }
  return true;
}

const Value* DictObject::find(std::string_view key) const {
  if (index.empty()) {
    for (const auto& [name, value] : entries)
      if (name.is_string() && name.text() == key) return &value;
    return nullptr;
  }
  auto [begin, end] = index.equal_range(SeededHash()(key));
  for (auto it = begin; it != end; ++it) {
    const auto& [name, value] = entries[it->second];
    if (name.is_string() && name.text() == key) return &value;
  }
  return nullptr;
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

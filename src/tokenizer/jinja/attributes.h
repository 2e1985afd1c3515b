// `object.name` and `object[key]` as the immutable sandbox resolves them: attributes first for the dot, items
// first for the brackets, undefined in the end; private names and methods that would change a list or dict
// give an undefined value that fails when used.
#pragma once

#include <span>

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

// `name` is a string. Without `or_item`, items of a dict are not looked at (the filter `attr`).
Value get_attribute(Runtime& runtime, const Value& object, const Value& name, bool or_item = true);
Value get_item(Runtime& runtime, const Value& object, const Value& key);

// A function written in C++; `self` is the object it is bound to, or missing.
using NativeFunction = Value (*)(Runtime& runtime, const Value& self, Arguments& arguments);

struct Method {
  std::string_view name;
  NativeFunction function;
};

class Function : public HostObject {
 public:
  Function(std::string_view name, NativeFunction function, Value self = Value())
      : name_(name), function_(function), self_(std::move(self)) {}
  std::string_view type_name() const override { return "function"; }
  MarkedText repr(Runtime& runtime) const override;
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override { return function_(runtime, self_, arguments); }

 private:
  std::string_view name_;
  NativeFunction function_;
  Value self_;
};

Value bind(Runtime& runtime, const Method& method, const Value& self);
// The bound method of that name, if any.
std::optional<Value> find_method(Runtime& runtime, std::span<const Method> methods, const Value& self,
                                 std::string_view name);

// Methods of Python's types; methods.cc.
std::span<const Method> string_methods();
std::span<const Method> sequence_methods();  // list, tuple and range
std::span<const Method> dict_methods();

}  // namespace reprise::tokenizer::jinja

// jinja2's builtin filters and tests by name. The value is the first positional argument.
#pragma once

#include <span>

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

using FilterFunction = Value (*)(Runtime& runtime, Arguments& arguments);
using TestFunction = bool (*)(Runtime& runtime, Arguments& arguments);

struct Filter {
  std::string_view name;
  FilterFunction function;
};

// Null when there is none of that name.
FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);

// "No filter named 'tojsn'; the nearest is 'tojson'"; without the second half where nothing is near.
std::string unknown_filter(std::string_view name);
std::string unknown_test(std::string_view name);

// Every name, for tests and for the nearest name in messages.
std::vector<std::string> filter_names();
std::vector<std::string> test_names();

std::span<const Filter> text_filters();
std::span<const Filter> sequence_filters();
std::span<const Filter> select_filters();
std::span<const Filter> value_filters();

// Follows "a.b.0" from an item, part by part, as the filters' `attribute` argument does.
class AttributeGetter {
 public:
  // No attribute gives the item itself. With `fold_case`, strings are lowered.
  AttributeGetter(Runtime& runtime, const Value& attribute, bool fold_case = false,
                  Value fallback = Value::none());
  Value operator()(const Value& item) const;

 private:
  Runtime* runtime_;
  std::vector<Value> parts_;
  bool fold_case_;
  Value fallback_;
};

Value fold_case(Runtime& runtime, const Value& value);

}  // namespace reprise::tokenizer::jinja

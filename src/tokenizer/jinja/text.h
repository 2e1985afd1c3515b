// Python's str() and repr() of values, and the shortest decimal form of floats.
#pragma once

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

// repr(float): the shortest digits that read back, "1e+16" and "1e-05" outside 1e-4..1e16.
std::string float_repr(double value);
void append_str(TextBuilder& out, const Value& value);
void append_repr(TextBuilder& out, const Value& value);
// "{'key': value, ...}"
void append_pairs(TextBuilder& out, const std::vector<std::pair<Value, Value>>& pairs);
// str(value) as a string value: a string is itself.
Value to_str(Runtime& runtime, const Value& value);
MarkedText to_repr(Runtime& runtime, const Value& value);
// "\xe9", "\u20ac" or "\U0001f600".
std::string escape_of(char32_t point);
// A quoted name for messages, as Python's repr of a str.
std::string quote(std::string_view text);

}  // namespace reprise::tokenizer::jinja

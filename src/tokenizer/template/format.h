// Python's three ways to format text: "%s" % x, format(x, ">8.2f") and "{0[key]!r}".format(x).
#pragma once

#include "tokenizer/template/runtime.h"

namespace reprise::tokenizer::jinja {

// `format % arguments`; a tuple holds several arguments, a mapping serves %(name)s. Markup escapes its
// arguments.
Value percent_format(Runtime& runtime, const Value& format, const Value& arguments);

// format(value, spec), with the format mini-language for str, int and float.
std::string format_value(Runtime& runtime, const Value& value, std::string_view spec);

// str.format as the sandbox runs it: fields reach attributes by the template's rules only.
Value format_fields(Runtime& runtime, const Value& format, const Arguments& arguments);

// Digits of a float in the style of `type` (one of e E f F g G), without sign; "inf" and "nan" as Python has
// them.
std::string float_digits(Runtime& runtime, double value, char type, int precision, bool alternate);

}  // namespace reprise::tokenizer::jinja

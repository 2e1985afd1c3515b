// Python's two ways to format text, as far as chat templates use them:
//   "%5.2f %s" % (x, y)    types s, r, d, i, f, x and X
//   "{} {0:>8} {name!r}".format(...)    plain positions and names; types s, d, f, x and X
// Everything else is an error that says so. What a marked part of a format makes is marked as a whole.
#pragma once

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

// `format % arguments`; a tuple holds several arguments, a dict serves %(name)s.
Value percent_format(Runtime& runtime, const Value& format, const Value& arguments);

// str.format.
Value format_fields(Runtime& runtime, const Value& format, Arguments& arguments);

}  // namespace reprise::tokenizer::jinja

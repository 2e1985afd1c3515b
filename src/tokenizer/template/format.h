// Python's three ways to format text: "%s" % x, format(x, ">8.2f") and "{0[key]!r}".format(x).
#pragma once

#include "tokenizer/template/runtime.h"

namespace reprise::tokenizer::jinja {

// What a format asks for, in the words of the format mini-language; "%-5.2f" says the same in other signs.
struct FormatSpec {
  std::string fill = " ";  // one character
  char align = 0;          // < > ^, = between sign and digits; 0: as the type has it
  char sign = 0;           // + or space: shown before numbers that are not negative
  bool alternate = false;  // #: 0x before hexadecimal digits, a point in every float
  bool zero = false;
  int64_t width = 0;       // code points
  char grouping = 0;       // , or _
  int64_t precision = -1;  // absent
  char type = 0;           // absent
};
constexpr int64_t kMaxFormatWidth = 1 << 20;

// `format % arguments`; a tuple holds several arguments, a mapping serves %(name)s. What a marked part of the
// format makes is marked as a whole.
Value percent_format(Runtime& runtime, const Value& format, const Value& arguments);

// str.format as the sandbox runs it: fields reach attributes by the template's rules only. Marks as above.
Value format_fields(Runtime& runtime, const Value& format, const Arguments& arguments);

// Parts that both share.
// "+", "-", " " or nothing.
std::string sign_text(const FormatSpec& spec, bool negative);
// The digits in the base that `type` names (x X o b, else decimal), for 0x and the like see `base_prefix`.
std::string integer_digits(int64_t number, char type);
std::string base_prefix(const FormatSpec& spec);
std::string character_text(Runtime& runtime, int64_t point);
void append_float(TextBuilder& out, double number, const FormatSpec& spec);
// `prefix` and `body` filled up to the width.
void append_padded(TextBuilder& out, const FormatSpec& spec, std::string_view prefix, MarkedView body,
                   char default_align);
// The first `precision` characters of a text, if the spec says so.
MarkedView cut_text(MarkedView text, const FormatSpec& spec);

}  // namespace reprise::tokenizer::jinja

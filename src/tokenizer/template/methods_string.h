// String work that methods of str and filters share. `limit` counts splits or replacements; negative is
// unlimited for `replace`, callers of the splits pass INT64_MAX.
#pragma once

#include "tokenizer/template/attributes.h"

namespace reprise::tokenizer::jinja {

// Without `chars`, whitespace is stripped.
std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right);
// Without `separator`, runs of whitespace separate and empty parts are dropped.
std::vector<std::string_view> split(Runtime& runtime, std::string_view text, const std::string* separator,
                                    int64_t limit);
std::vector<std::string_view> rsplit(Runtime& runtime, std::string_view text, const std::string* separator,
                                     int64_t limit);
std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends);
std::string replace(Runtime& runtime, std::string_view text, std::string_view old, std::string_view with,
                    int64_t limit);
// str.center, in code points.
std::string center(Runtime& runtime, const Value& text, int64_t width, char32_t fill);
// str.islower and str.isupper.
bool is_lower_text(std::string_view text);
bool is_upper_text(std::string_view text);

std::span<const Method> string_case_methods();

}  // namespace reprise::tokenizer::jinja

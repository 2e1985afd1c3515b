// Unicode normalisation forms. utf8proc has the data; the loop is our own because utf8proc sorts long runs of
// combining marks in quadratic time, which a request could exploit.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/normalizer.h"

namespace reprise::tokenizer {

// `text` must be valid UTF-8. Linear but for the sort of each run of marks.
std::string to_unicode_form(std::string_view text, UnicodeForm form);

// The quick check: every character is below the first one that the form could change (or compose with).
bool is_trivially_normal(std::string_view text, UnicodeForm form);

}  // namespace reprise::tokenizer

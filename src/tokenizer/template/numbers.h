// Python's int(text, base) and float(text).
#pragma once

#include <optional>
#include <string_view>

#include "tokenizer/template/runtime.h"

namespace reprise::tokenizer::jinja {

// Absent where Python raises ValueError; fails where the number does not fit 64 bits.
std::optional<int64_t> parse_integer(Runtime& runtime, std::string_view text, int64_t base);
std::optional<double> parse_float(std::string_view text);

}  // namespace reprise::tokenizer::jinja

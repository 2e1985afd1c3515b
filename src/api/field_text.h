// Values of flags and configuration entries: from text to a number, a size or a yes or no. Each function
// throws Error "is 'x', expected ..." on text that is not wholly such a value; the caller puts the name in
// front.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace reprise::api {

// The flag of a field: "--max-model-len" for "max_model_len".
std::string flag_name(std::string_view field);

// A decimal integer in [least, most].
int64_t parse_integer(std::string_view text, int64_t least, int64_t most);
// A finite decimal number.
double parse_real(std::string_view text);
// "true" or "false".
bool parse_boolean(std::string_view text);
// Bytes: "1073741824", "512MiB", "1.5GB"; less than 2^60.
size_t parse_size(std::string_view text);

}  // namespace reprise::api

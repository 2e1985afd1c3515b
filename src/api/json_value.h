// Values of requests as JSON: read with their range, and shown in errors without copying a megabyte of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/json.h"

namespace reprise::api {

// A value as an error shows it: as it is where it is short, else its beginning or its kind and size.
std::string shown(const Json& value);

// An integer in [least, most], written without fraction or exponent. Throws Error "WHERE VALUE, expected an
// integer from LEAST to MOST"; `where`: "[n] is".
int64_t integer_of(const Json& value, int64_t least, int64_t most, std::string_view where);
// A number that a float can hold. Throws Error in the same way.
float float_of(const Json& value, std::string_view where);

}  // namespace reprise::api

// Messages about filters and tests that don't exist, with the nearest name that does.
#pragma once

#include <string>
#include <string_view>

namespace reprise::tokenizer::jinja {

// "No filter named 'tojsn'; the nearest is 'tojson'"; without the second half where nothing is near.
std::string unknown_filter(std::string_view name);
std::string unknown_test(std::string_view name);

}  // namespace reprise::tokenizer::jinja

// The known name that a misspelt one probably means, for errors that suggest it.
#pragma once

#include <span>
#include <string_view>

namespace reprise {

// The one of `names` with the fewest edits (insert, delete, replace) from `name`, the first of several; ""
// where none is near: more than a third of the longer one would have to change.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names);

}  // namespace reprise

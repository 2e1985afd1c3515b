// The name of a JSON value, for headers that only mention it: nlohmann's own header takes longer to compile
// than most files that include it.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace reprise {

// Keeps the order of keys, as templates and reports need.
using Json = nlohmann::ordered_json;

}  // namespace reprise

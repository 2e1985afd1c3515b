// A Result as the line of JSON that `reprise generate --json` prints (scripts rely on its form): prompt,
// outputs and metrics; {"index", "error"} alone where nothing was produced, and both where an error came
// later.
#pragma once

#include <cstddef>

#include "core/json.h"
#include "reprise/reprise.h"

namespace reprise::api {

// `index`: of the prompt. `sampling`: the prompt's; says whether log-probabilities were asked for. Text is
// written whole, bytes of value 0 included; log-probabilities carry 9 significant digits, which name a float
// exactly.
Json result_json(size_t index, const Result& result, const Sampling& sampling);

}  // namespace reprise::api

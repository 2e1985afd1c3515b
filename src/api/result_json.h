// A Result as the line of JSON that `reprise generate --json` prints (docs and scripts rely on its form).
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

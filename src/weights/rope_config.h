// Reads the rotary settings of a config.json.
#pragma once

#include <cstdint>
#include <string_view>

#include "weights/json_fields.h"
#include "weights/model_config.h"

namespace reprise::weights {

// `fields`: the whole config. Precedence as in transformers: the values inside `rope_scaling` (else
// `rope_parameters`), then `rope_theta` and the like beside it, then the family's default.
RopeConfig parse_rope_config(const JsonFields& fields, double default_theta, int64_t max_position_embeddings,
                             std::string_view what);

}  // namespace reprise::weights

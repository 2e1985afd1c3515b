// Reads the rotary settings of a config.json.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/json_fields.h"
#include "weights/model_config.h"

namespace reprise::weights {

// `fields`: the whole config. Order of precedence as in transformers: the values inside `rope_scaling` (else
// `rope_parameters`), then `rope_theta` and the like beside it, then the family's default. `config`: its
// max_position_embeddings and windows are read already. Throws Error on a kind of scaling or a value that
// would change the numbers and is not supported.
RopeConfig parse_rope_config(const JsonFields& fields, double default_theta, const ModelConfig& config,
                             std::string_view what);

}  // namespace reprise::weights

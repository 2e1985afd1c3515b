// What the bits of a seeded reply depend on beside the request, as a short name.
#pragma once

#include <string>

#include "engine/config/engine_config.h"
#include "models/model.h"

namespace reprise::api {

// "reprise-VERSION-ISA-DTYPE-HASH"; the hash is of the weights' numbers, of what the configuration says beside them, and
// of max_partition_size. The same in every process.
std::string fingerprint_of(const models::Model& model, std::string_view isa,
                           const engine::EngineConfig& config);

}  // namespace reprise::api

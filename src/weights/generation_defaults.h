// generation_config.json: the sampling that a model's makers recommend, and where it stops.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace reprise::weights {

// Absent fields are absent: the engine's own defaults hold.
struct GenerationDefaults {
  std::optional<bool> do_sample;
  std::optional<double> temperature;         // >= 0
  std::optional<int64_t> top_k;              // >= 0; 0: no limit
  std::optional<double> top_p;               // [0, 1]
  std::optional<double> min_p;               // [0, 1]
  std::optional<double> repetition_penalty;  // > 0
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;
};

// Throws Error on a wrong type or a value out of its range.
GenerationDefaults parse_generation_defaults(const Json& json, std::string_view what);
// generation_config.json of a Hugging Face folder; all absent when the folder has none.
GenerationDefaults load_generation_defaults(const std::filesystem::path& folder);

}  // namespace reprise::weights

// generation_config.json: the sampling that a model's makers recommend, and where it stops.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fwd.h"

namespace reprise::weights {

// Absent fields are absent: the engine's own defaults hold. So are fields whose value no sampler can use:
// what makers recommend is optional, and a request may say it better.
struct GenerationDefaults {
  std::optional<bool> do_sample;
  std::optional<double> temperature;         // >= 0; 0: greedy
  std::optional<int64_t> top_k;              // >= 0; 0: no limit, also written as -1
  std::optional<double> top_p;               // [0, 1]
  std::optional<double> min_p;               // [0, 1]
  std::optional<double> repetition_penalty;  // > 0
  std::optional<int64_t> bos_token_id;       // >= 0
  std::vector<int64_t> eos_token_ids;        // >= 0; may lie outside the vocabulary, which is not known here
  std::vector<std::string> warnings;         // what was ignored, one line each
};

// Throws Error when `json` is no object; never because of a field.
GenerationDefaults parse_generation_defaults(const Json& json, std::string_view what);
// generation_config.json of a Hugging Face folder; all absent when there is none or it is empty. A file that
// cannot be used becomes a warning, as transformers has it. Throws only std::bad_alloc.
GenerationDefaults load_generation_defaults(const std::filesystem::path& folder);

}  // namespace reprise::weights

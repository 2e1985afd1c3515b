#include "weights/generation_defaults.h"

#include <limits>

#include "core/error.h"
#include "weights/json_fields.h"

namespace reprise::weights {
namespace {

constexpr size_t kMaxBytes = size_t{2} << 20;

std::optional<double> within(const JsonFields& fields, std::string_view key, double least, double most) {
  const auto value = fields.number(key);
  if (value && !(*value >= least && *value <= most))
    fields.fail(key, fmt::format("expected a number from {} to {}", least, most));
  return value;
}

}  // namespace

GenerationDefaults parse_generation_defaults(const Json& json, std::string_view what) {
  const JsonFields fields(json, what);
  GenerationDefaults defaults;
  defaults.do_sample = fields.boolean("do_sample");
  defaults.temperature = within(fields, "temperature", 0.0, 1e6);
  defaults.top_k = fields.integer("top_k");
  if (defaults.top_k && *defaults.top_k < 0) fields.fail("top_k", "expected 0 or more");
  defaults.top_p = within(fields, "top_p", 0.0, 1.0);
  defaults.min_p = within(fields, "min_p", 0.0, 1.0);
  defaults.repetition_penalty = within(fields, "repetition_penalty", std::numeric_limits<float>::min(), 1e6);
  if (const auto bos = fields.integers("bos_token_id"); !bos.empty() && bos.front() >= 0)
    defaults.bos_token_id = bos.front();
  for (int64_t id : fields.integers("eos_token_id"))
    if (id >= 0) defaults.eos_token_ids.push_back(id);
  return defaults;
}

GenerationDefaults load_generation_defaults(const std::filesystem::path& folder) {
  const auto path = folder / "generation_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  return parse_generation_defaults(parse_json(read_file(path, kMaxBytes), path.string()), path.string());
}

}  // namespace reprise::weights

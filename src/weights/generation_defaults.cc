#include "weights/generation_defaults.h"

#include <limits>

#include "core/error.h"
#include "core/file_kind.h"
#include "core/json.h"
#include "core/json_fields.h"
#include "weights/token_ids.h"

namespace reprise::weights {
namespace {

constexpr size_t kMaxBytes = size_t{2} << 20;
constexpr int64_t kAnyId = int64_t{1} << 31;

// What `read` returns; absent, with a warning, where it throws Error.
template <typename Read>
auto recommended(const JsonFields& fields, std::string_view key, std::vector<std::string>& warnings,
                 Read read) -> std::optional<decltype(read(std::declval<const JsonValue&>()))> {
  const auto value = fields.value(key);
  if (!value) return std::nullopt;
  try {
    return read(*value);
  } catch (const Error& e) {
    warnings.push_back(fmt::format("{}; it is ignored", e.what()));
    return std::nullopt;
  }
}

}  // namespace

GenerationDefaults parse_generation_defaults(const Json& json, std::string_view what) {
  const JsonFields fields(json, what);
  GenerationDefaults defaults;
  const auto number = [&](std::string_view key, double least, double most) {
    return recommended(fields, key, defaults.warnings,
                       [&](const JsonValue& v) { return v.number(least, most); });
  };
  defaults.do_sample =
      recommended(fields, "do_sample", defaults.warnings, [](const JsonValue& v) { return v.boolean(); });
  defaults.temperature = number("temperature", 0.0, 1e6);
  defaults.top_k = recommended(fields, "top_k", defaults.warnings,
                               [](const JsonValue& v) { return std::max<int64_t>(0, v.integer(-1)); });
  defaults.top_p = number("top_p", 0.0, 1.0);
  defaults.min_p = number("min_p", 0.0, 1.0);
  defaults.repetition_penalty = number("repetition_penalty", std::numeric_limits<float>::min(), 1e6);
  if (const auto bos = token_ids(fields, "bos_token_id", kAnyId, defaults.warnings); !bos.empty())
    defaults.bos_token_id = bos.front();
  defaults.eos_token_ids = token_ids(fields, "eos_token_id", kAnyId, defaults.warnings);
  return defaults;
}

GenerationDefaults load_generation_defaults(const std::filesystem::path& folder) {
  const auto path = folder / "generation_config.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  try {
    const std::string text = read_file(path, kMaxBytes);
    if (text.find_first_not_of(" \t\r\n") == text.npos) return {};
    refuse_wrong_file(std::string_view(text).substr(0, 512), text.size(), path);
    return parse_generation_defaults(parse_json(text, path.string(), kCheckpointJson), path.string());
  } catch (const Error& e) {
    GenerationDefaults defaults;
    defaults.warnings.push_back(fmt::format("{}; the file is ignored", e.what()));
    return defaults;
  }
}

}  // namespace reprise::weights

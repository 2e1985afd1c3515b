#include "weights/token_ids.h"

#include "core/json.h"

#include <fmt/format.h>

#include <algorithm>

namespace reprise::weights {
namespace {

constexpr size_t kMost = 1024;  // ids of one field that are looked at

}  // namespace

std::vector<int64_t> token_ids(const JsonFields& fields, std::string_view key, int64_t vocab_size,
                               std::vector<std::string>& warnings) {
  const Json* value = fields.find(key);
  if (!value) return {};
  std::vector<int64_t> ids;
  bool warned = false;
  const auto ignore = [&](const Json& entry, std::string_view why) {
    if (!warned)
      warnings.push_back(
          fmt::format("{} has {}, {}; it is ignored", fields.name_of(key), short_json_text(entry), why));
    warned = true;
  };
  const auto add = [&](const Json& entry) {
    if (entry.is_null()) return;
    if (!entry.is_number_integer()) return ignore(entry, "which is no token id");
    const bool large =
        entry.is_number_unsigned() && entry.get<uint64_t>() >= static_cast<uint64_t>(vocab_size);
    if (large) return ignore(entry, fmt::format("outside the vocabulary of {}", vocab_size));
    const auto id = entry.get<int64_t>();
    if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  if (!value->is_array()) {
    add(*value);
  } else {
    size_t looked_at = 0;
    for (const Json& entry : *value) {
      if (++looked_at > kMost) {
        ignore(*value, fmt::format("of which the first {} are read", kMost));
        break;
      }
      add(entry);
    }
  }
  return ids;
}

}  // namespace reprise::weights

#include "api/json_value.h"

#include <cmath>
#include <limits>

#include "core/error.h"

namespace reprise::api {

std::string shown(const Json& value) {
  constexpr size_t kMostItems = 8;
  constexpr size_t kMostBytes = 80;
  if (value.is_string() && value.get_ref<const std::string&>().size() > kMostBytes)
    return fmt::format("{}... ({} bytes)",
                       to_json_text(value.get_ref<const std::string&>().substr(0, kMostBytes)),
                       value.get_ref<const std::string&>().size());
  if (value.is_array() && value.size() > kMostItems) return fmt::format("a list of {} items", value.size());
  if (value.is_object() && value.size() > kMostItems)
    return fmt::format("an object of {} members", value.size());
  const std::string text = to_json_text(value);
  if (text.size() <= kMostBytes || !value.is_structured()) return text;
  return fmt::format("{} of {} bytes of JSON", value.is_array() ? "a list" : "an object", text.size());
}

int64_t integer_of(const Json& value, int64_t least, int64_t most, std::string_view where) {
  // A number without sign may be above the largest int64_t.
  const bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t{INT64_MAX} : value.is_number_integer();
  if (!fits || value.get<int64_t>() < least || value.get<int64_t>() > most)
    throw Error("{} {}, expected an integer from {} to {}", where, shown(value), least, most);
  return value.get<int64_t>();
}

float float_of(const Json& value, std::string_view where) {
  if (!value.is_number() || !(std::abs(value.get<double>()) <= double{std::numeric_limits<float>::max()}))
    throw Error("{} {}, expected a number", where, shown(value));
  return value.get<float>();
}

}  // namespace reprise::api

#include "weights/json_fields.h"

#include <cmath>

#include "core/error.h"

namespace reprise::weights {
namespace {

// Enough of a value for a message.
std::string shortened(const Json& value) {
  std::string text = to_json_text(value);
  constexpr size_t kShown = 60;
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

std::optional<int64_t> as_integer(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  return std::nullopt;
}

}  // namespace

JsonFields::JsonFields(const Json& json, std::string_view what) : json_(json), what_(what) {
  if (!json.is_object()) throw Error("{}: expected a JSON object, found {}", what, json.type_name());
}

const Json* JsonFields::find(std::string_view key) const {
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

void JsonFields::fail(std::string_view key, std::string_view why) const {
  const Json* value = find(key);
  throw Error("{}: '{}' is {}, {}", what_, key, value ? shortened(*value) : "missing", why);
}

std::optional<int64_t> JsonFields::integer(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  const auto number = as_integer(*value);
  if (!number) fail(key, "expected an integer below 2^63");
  return number;
}

std::optional<double> JsonFields::number(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) fail(key, "expected a finite number");
  return value->get<double>();
}

std::optional<bool> JsonFields::boolean(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) fail(key, "expected true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::string(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) fail(key, "expected a string");
  return value->get<std::string>();
}

std::vector<int64_t> JsonFields::integers(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_array()) return {integer(key).value()};
  std::vector<int64_t> integers;
  for (const Json& entry : *value) {
    const auto number = as_integer(entry);
    if (!number) fail(key, "expected an integer or a list of integers");
    integers.push_back(*number);
  }
  return integers;
}

int64_t JsonFields::size(std::string_view key, int64_t most) const {
  const auto value = integer(key);
  if (!value || *value < 1 || *value > most)
    fail(key, fmt::format("expected a whole number from 1 to {}", most));
  return *value;
}

}  // namespace reprise::weights

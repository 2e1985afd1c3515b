#include "core/json_fields.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/nearest.h"

namespace reprise {
namespace {

// Long names come from the outside too.
std::string_view shortened(std::string_view name) {
  return name.substr(0, 200);
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

std::string range_text(std::string_view noun, int64_t least, int64_t most) {
  if (least == INT64_MIN && most == INT64_MAX) return fmt::format("{} below 2^63", noun);
  if (most == INT64_MAX) return fmt::format("{} of at least {}", noun, least);
  return fmt::format("{} from {} to {}", noun, least, most);
}

// Of the field `key` of the object `name`; within the quotes of a quoted name: 'decoder.type'.
std::string field_name(std::string_view name, std::string_view key) {
  const std::string_view quote = name.ends_with('\'') ? "'" : "";
  name.remove_suffix(quote.size());
  return fmt::format("{}.{}{}", name, shortened(key), quote);
}

// Of element `index` of the list `name`; within the quotes of a quoted name: "sizes[1]".
std::string element_name(std::string_view name, size_t index) {
  const bool quoted = name.ends_with('"');
  if (quoted) name.remove_suffix(1);
  return fmt::format("{}[{}]{}", name, index, quoted ? "\"" : "");
}

}  // namespace

void JsonValue::fail(std::string_view expected) const {
  std::string shown = short_json_text(*value_);
  // JSON has no text for these.
  if (value_->is_number_float() && !std::isfinite(value_->get<double>()))
    shown = std::isnan(value_->get<double>()) ? "NaN" : value_->get<double>() > 0 ? "Infinity" : "-Infinity";
  throw Error("{} is {}, expected {}", name_, shown, expected);
}

bool JsonValue::is_null() const {
  return value_->is_null();
}

bool JsonValue::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

int64_t JsonValue::integer(int64_t least, int64_t most) const {
  const auto number = as_integer(*value_);
  if (!number || *number < least || *number > most) fail(range_text("an integer", least, most));
  return *number;
}

double JsonValue::number(double least, double most) const {
  const double number = value_->is_number() ? value_->get<double>() : std::nan("");
  if (!std::isfinite(number)) fail("a finite number");
  if (number < least || number > most) fail(fmt::format("a number from {} to {}", least, most));
  return number;
}

std::string JsonValue::string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get<std::string>();
}

JsonFields JsonValue::fields() const {
  if (!value_->is_object()) fail("an object");
  return JsonFields(*value_, name_, FieldNames::nested);
}

std::vector<JsonValue> JsonValue::items() const {
  if (!value_->is_array()) fail("a list");
  std::vector<JsonValue> items;
  items.reserve(value_->size());
  for (const Json& item : *value_) items.emplace_back(item, element_name(name_, items.size()));
  return items;
}

std::vector<int64_t> JsonValue::integers(int64_t least, int64_t most, size_t most_items) const {
  if (!value_->is_array()) {
    if (!as_integer(*value_)) fail(range_text("an integer or a list of integers, each", least, most));
    return {integer(least, most)};
  }
  if (value_->size() > most_items) fail(fmt::format("a list of at most {} integers", most_items));
  std::vector<int64_t> integers;
  integers.reserve(value_->size());
  for (const Json& item : *value_) {
    const auto number = as_integer(item);
    if (!number || *number < least || *number > most)
      JsonValue(item, element_name(name_, integers.size())).fail(range_text("an integer", least, most));
    integers.push_back(*number);
  }
  return integers;
}

std::vector<std::string> JsonValue::strings(size_t most_items) const {
  if (value_->is_string()) return {string()};
  if (!value_->is_array()) fail("a string or a list of strings");
  if (value_->size() > most_items) fail(fmt::format("a list of at most {} strings", most_items));
  std::vector<std::string> strings;
  strings.reserve(value_->size());
  for (const Json& item : *value_) {
    if (!item.is_string()) JsonValue(item, element_name(name_, strings.size())).fail("a string");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

JsonFields::JsonFields(const Json& json, std::string_view what, FieldNames names)
    : json_(json), what_(what), names_(names) {
  if (json.is_object()) return;
  const std::string where =
      names == FieldNames::document ? fmt::format("{}:", what) : fmt::format("[{}]", what);
  throw Error("{} expected a JSON object, found {}", where, json.type_name());
}

std::string JsonFields::name_of(std::string_view key) const {
  switch (names_) {
    case FieldNames::document:
      return fmt::format("{}: '{}'", what_, shortened(key));
    case FieldNames::flag:
      return fmt::format("[{}] \"{}\"", what_, shortened(key));
    case FieldNames::nested:
      return field_name(what_, key);
    case FieldNames::request:
      break;
  }
  return fmt::format("[{}]", shortened(key));
}

const Json* JsonFields::find(std::string_view key) const {
  const auto it = json_.find(key);
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

bool JsonFields::present(std::string_view key) const {
  return json_.contains(key);
}

std::optional<JsonValue> JsonFields::value(std::string_view key) const {
  const Json* found = find(key);
  if (!found) return std::nullopt;
  return JsonValue(*found, name_of(key));
}

JsonValue JsonFields::at(std::string_view key) const {
  const auto found = value(key);
  if (!found) throw Error("{} is missing", name_of(key));
  return *found;
}

void JsonFields::fail(std::string_view key, std::string_view expected) const {
  if (const auto found = value(key)) found->fail(expected);
  throw Error("{} is missing, expected {}", name_of(key), expected);
}

std::optional<int64_t> JsonFields::integer(std::string_view key, int64_t least, int64_t most) const {
  const auto found = value(key);
  if (!found) return std::nullopt;
  return found->integer(least, most);
}

std::optional<double> JsonFields::number(std::string_view key) const {
  const auto found = value(key);
  if (!found) return std::nullopt;
  return found->number();
}

std::optional<bool> JsonFields::boolean(std::string_view key) const {
  const auto found = value(key);
  if (!found) return std::nullopt;
  return found->boolean();
}

std::optional<std::string> JsonFields::string(std::string_view key) const {
  const auto found = value(key);
  if (!found) return std::nullopt;
  return found->string();
}

std::vector<int64_t> JsonFields::integers(std::string_view key) const {
  const auto found = value(key);
  if (!found) return {};
  return found->integers();
}

int64_t JsonFields::size(std::string_view key, int64_t most) const {
  const Json* found = find(key);
  const auto number = found ? as_integer(*found) : std::nullopt;
  if (!number || *number < 1 || *number > most) fail(key, fmt::format("a whole number from 1 to {}", most));
  return *number;
}

void JsonFields::refuse_unknown(std::span<const std::string_view> known, std::string_view noun) const {
  for (const auto& [key, value] : json_.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string_view nearest = nearest_name(key, known);
    throw Error(
        "{} is no {}{}; the {}s are {}",
        names_ == FieldNames::request ? fmt::format("[{}] \"{}\"", what_, shortened(key)) : name_of(key),
        noun, nearest.empty() ? "" : fmt::format(", did you mean \"{}\"?", nearest), noun,
        fmt::join(known, ", "));
  }
}

}  // namespace reprise

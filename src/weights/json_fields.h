// Typed access to the fields of one JSON object, with errors that name the document and the field. A field
// that is null counts as absent, as in the Python configs that these files come from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace reprise::weights {

class JsonFields {
 public:
  // `json` outlives this. Throws Error when it is no object.
  JsonFields(const Json& json, std::string_view what);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  const Json* find(std::string_view key) const;                             // nullptr when absent or null
  bool present(std::string_view key) const { return json_.contains(key); }  // also when null

  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // finite
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  // An integer or a list of integers; empty when absent.
  std::vector<int64_t> integers(std::string_view key) const;

  // A count in [1, most]. Throws Error when absent.
  int64_t size(std::string_view key, int64_t most) const;

  [[noreturn]] void fail(std::string_view key, std::string_view why) const;

 private:
  const Json& json_;
  std::string what_;
};

}  // namespace reprise::weights

// A number that somebody wrote, as JSON.
#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string>

#include "core/json.h"

namespace reprise::cli {

// As JSON has it, or as people write it (".9", "1."); nothing for any other text.
inline std::optional<Json> number_of(const std::string& text) {
  const char* const last = text.data() + text.size();
  int64_t integer = 0;
  if (const auto [end, status] = std::from_chars(text.data(), last, integer);
      status == std::errc() && end == last)
    return integer;
  double real = 0;
  if (const auto [end, status] = std::from_chars(text.data(), last, real);
      status == std::errc() && end == last && std::isfinite(real))
    return real;
  return std::nullopt;
}

}  // namespace reprise::cli

#include "api/field_text.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace reprise::api {

std::string flag_name(std::string_view field) {
  std::string flag = "--" + std::string(field);
  for (char& c : flag)
    if (c == '_') c = '-';
  return flag;
}

int64_t parse_integer(std::string_view text, int64_t least, int64_t most) {
  int64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last || number < least || number > most)
    throw Error("is '{}', expected an integer from {} to {}", text, least, most);
  return number;
}

double parse_real(std::string_view text) {
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last || !std::isfinite(number))
    throw Error("is '{}', expected a number", text);
  return number;
}

bool parse_boolean(std::string_view text) {
  if (text != "true" && text != "false") throw Error("is '{}', expected true or false", text);
  return text == "true";
}

size_t parse_size(std::string_view text) {
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  const std::string_view unit(end, static_cast<size_t>(last - end));
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},        {"B", 1},         {"KB", 1e3},   {"MB", 1e6},    {"GB", 1e9},
      {"TB", 1e12},   {"K", 1024},      {"KiB", 1024}, {"M", 1 << 20}, {"MiB", 1 << 20},
      {"G", 1 << 30}, {"GiB", 1 << 30}, {"T", 0x1p40}, {"TiB", 0x1p40}};
  if (error == std::errc() && number >= 0)
    for (const auto& [name, factor] : kUnits)
      if (unit == name && number * factor < 0x1p60) return static_cast<size_t>(std::llround(number * factor));
  throw Error("is '{}', expected bytes, or a number with KB, MB, GB, KiB, MiB or GiB, such as 16GiB", text);
}

}  // namespace reprise::api

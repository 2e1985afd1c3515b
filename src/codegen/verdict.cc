#include "codegen/verdict.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace reprise::codegen {
namespace {

constexpr std::string_view kParts = "parts";
constexpr std::string_view kBefore = ": T ", kBetween = ", T ", kUnit = " us";

double mean_log(const Verdict::Timing& timing) {
  double sum = 0;
  for (const double us : timing.us) sum += std::log(us);
  return sum / static_cast<double>(timing.us.size());
}

std::string line_of(const Verdict::Timing& timing, const std::vector<int64_t>& tokens) {
  std::string line = timing.name;
  for (size_t i = 0; i < tokens.size(); ++i)
    line += fmt::format("{}{} {:.4f}{}", i == 0 ? kBefore : kBetween, tokens[i], timing.us[i], kUnit);
  return line + '\n';
}

// Takes what std::from_chars reads off the front, then `after`.
template <typename T>
bool take(std::string_view& text, T& number, std::string_view after) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.starts_with(after)) return false;
  text.remove_prefix(after.size());
  return true;
}

// False where the line has another form, or other tokens than those before it.
bool take_line(std::string_view line, Verdict& verdict) {
  const size_t at = line.find(kBefore);
  if (at == 0 || at == std::string_view::npos) return false;
  Verdict::Timing timing{.name = std::string(line.substr(0, at)), .us = {}};
  std::vector<int64_t> tokens;
  for (line.remove_prefix(at); !line.empty();) {
    const std::string_view before = tokens.empty() ? kBefore : kBetween;
    if (!line.starts_with(before)) return false;
    line.remove_prefix(before.size());
    if (!take(line, tokens.emplace_back(), " ") || !take(line, timing.us.emplace_back(), kUnit)) return false;
    if (tokens.back() <= (tokens.size() > 1 ? tokens.end()[-2] : 0)) return false;
    if (!std::isfinite(timing.us.back()) || timing.us.back() <= 0) return false;
  }
  if (verdict.tokens.empty()) verdict.tokens = tokens;
  if (verdict.tokens != tokens || !verdict.parts.name.empty()) return false;
  if (timing.name == kParts)
    verdict.parts = std::move(timing);
  else
    verdict.variants.push_back(std::move(timing));
  return true;
}

}  // namespace

const Verdict::Timing& Verdict::best() const {
  return *std::ranges::min_element(variants, {}, mean_log);
}

double Verdict::of_parts() const {
  return std::exp(mean_log(best()) - mean_log(parts));
}

std::string Verdict::summary() const {
  return fmt::format("{} takes {:.2f} of the time of its parts", best().name, of_parts());
}

std::string Verdict::times() const {
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i)
    text += fmt::format("{}{:.4f} us beside {:.4f} at T {}", i == 0 ? "" : ", ", best().us[i], parts.us[i],
                        tokens[i]);
  return text;
}

std::string print(const Verdict& verdict) {
  std::string text;
  for (const Verdict::Timing& timing : verdict.variants) text += line_of(timing, verdict.tokens);
  return text + line_of(verdict.parts, verdict.tokens);
}

Verdict parse_verdict(std::string_view text) {
  Verdict verdict;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (!take_line(line, verdict)) throw Error("is damaged: its times of a kernel have another form");
  }
  if (verdict.variants.empty() || verdict.parts.name.empty() || print(verdict) != text)
    throw Error("is damaged: its times of a kernel have another form");
  return verdict;
}

}  // namespace reprise::codegen

#include "models/layers/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace reprise::models {
namespace {

using weights::RopeKind;

// base^(-2i/dim), rounded where transformers rounds: the exponent, the power and the quotient are floats.
std::vector<float> default_frequencies(double base, int64_t dim) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    frequencies.push_back(1.0f / static_cast<float>(std::pow(base, static_cast<double>(exponent))));
  }
  return frequencies;
}

// Long wavelengths are stretched by `factor`, short ones kept, a smooth blend between (Llama 3.1).
void apply_llama3(const weights::RopeConfig& config, std::vector<float>& frequencies) {
  const double original = static_cast<double>(config.original_max_position_embeddings);
  if (config.high_freq_factor == config.low_freq_factor || original <= 0)
    throw Error(
        "[rope] llama3 needs original_max_position_embeddings > 0 and high_freq_factor != low_freq_factor");
  const double low_wavelength = original / config.low_freq_factor;
  const double high_wavelength = original / config.high_freq_factor;
  for (float& frequency : frequencies) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (wavelength < high_wavelength) continue;
    const float stretched = frequency / static_cast<float>(config.factor);
    if (wavelength > low_wavelength) {
      frequency = stretched;
      continue;
    }
    const float smooth =
        (static_cast<float>(original) / wavelength - static_cast<float>(config.low_freq_factor)) /
        static_cast<float>(config.high_freq_factor - config.low_freq_factor);
    frequency = (1.0f - smooth) * stretched + smooth * frequency;
  }
}

// Dimensions that turn often within the original context are kept, those that turn seldom are interpolated,
// with a linear ramp between (YaRN, section 3.2). Returns the factor on cos and sin (section 3.4).
double apply_yarn(const weights::RopeConfig& config, int64_t dim, int64_t max_position_embeddings,
                  std::vector<float>& frequencies) {
  const double original = static_cast<double>(config.original_max_position_embeddings > 0
                                                  ? config.original_max_position_embeddings
                                                  : max_position_embeddings);
  const double factor =
      config.factor > 0 ? config.factor : static_cast<double>(max_position_embeddings) / original;
  const double size = static_cast<double>(dim);
  const auto dimension_of = [&](double rotations) {
    return size * std::log(original / (rotations * 2 * std::numbers::pi)) / (2 * std::log(config.theta));
  };
  double low = dimension_of(config.beta_fast);
  double high = dimension_of(config.beta_slow);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, size - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float kept = 1.0f - ramp;
    const float interpolated = 1.0f / (static_cast<float>(factor) * (1.0f / frequencies[i]));
    frequencies[i] = interpolated * (1.0f - kept) + frequencies[i] * kept;
  }
  if (config.attention_factor) return *config.attention_factor;
  const auto magnitude = [&](double scale) {
    return factor <= 1 ? 1.0 : 0.1 * scale * std::log(factor) + 1.0;
  };
  if (config.mscale.value_or(0) != 0 && config.mscale_all_dim.value_or(0) != 0)
    return magnitude(*config.mscale) / magnitude(*config.mscale_all_dim);
  return magnitude(1.0);
}

}  // namespace

Rope make_rope(const weights::RopeConfig& config, int64_t head_dim, int64_t max_position_embeddings) {
  const auto dim = static_cast<int64_t>(static_cast<double>(head_dim) * config.partial_rotary_factor);
  if (dim < 2 || dim % 2 != 0 || config.theta <= 0)
    throw Error(
        "[rope] {} rotary dimensions of a head of {} and theta {}; the dimensions must be even and at least "
        "2, theta positive",
        dim, head_dim, config.theta);
  Rope rope{.inv_freq = default_frequencies(config.theta, dim),
            .params = {.rot_dim = dim, .base = config.theta}};
  if (config.kind != RopeKind::standard && config.kind != RopeKind::yarn && config.factor <= 0)
    throw Error("[rope] factor is {}; it must be positive", config.factor);
  if (!config.frequency_divisors.empty()) {
    if (config.frequency_divisors.size() != rope.inv_freq.size())
      throw Error("[rope] {} frequency divisors for {} frequencies", config.frequency_divisors.size(),
                  rope.inv_freq.size());
    for (size_t i = 0; i < rope.inv_freq.size(); ++i) rope.inv_freq[i] /= config.frequency_divisors[i];
  }
  switch (config.kind) {
    case RopeKind::standard:
      break;
    case RopeKind::linear:
      for (float& frequency : rope.inv_freq) frequency /= static_cast<float>(config.factor);
      break;
    case RopeKind::dynamic:
      if (dim <= 2) throw Error("[rope] dynamic scaling needs more than 2 rotary dimensions");
      rope.params.dynamic = true;
      rope.params.factor = config.factor;
      rope.params.original_max = max_position_embeddings;
      break;
    case RopeKind::llama3:
      apply_llama3(config, rope.inv_freq);
      break;
    case RopeKind::yarn:
      rope.params.attention_scaling = apply_yarn(config, dim, max_position_embeddings, rope.inv_freq);
      break;
  }
  return rope;
}

}  // namespace reprise::models

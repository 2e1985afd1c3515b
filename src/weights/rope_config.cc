#include "weights/rope_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "weights/config_check.h"

namespace reprise::weights {
namespace {

constexpr std::array<std::pair<std::string_view, RopeKind>, 6> kKinds = {{
    {"default", RopeKind::standard},
    {"mrope", RopeKind::standard},  // of Qwen2-VL; for text all of its positions are equal
    {"linear", RopeKind::linear},
    {"dynamic", RopeKind::dynamic},
    {"llama3", RopeKind::llama3},
    {"yarn", RopeKind::yarn},
}};

RopeKind kind_of(const JsonFields& settings, std::string_view name, std::string_view what) {
  for (const auto& [known, kind] : kKinds)
    if (known == name) return kind;
  // A kind that scales by 1 and has no list of factors changes nothing.
  const Json* factor = settings.find("factor");
  if (factor && *factor == 1 && !settings.has("short_factor") && !settings.has("long_factor"))
    return RopeKind::standard;
  throw Error(
      "{}: rotary scaling of type '{}' is not supported; known are default, linear, dynamic, llama3, yarn",
      what, name.substr(0, 60));
}

// The object with the settings, or nullptr. Newer configs may hold one for each type of layer; those of the
// types that the model has are taken, and must agree.
const Json* settings_of(const JsonFields& fields, const ModelConfig& config, std::string_view what) {
  const auto& windows = config.layer_has_window;
  const bool windowed = std::find(windows.begin(), windows.end(), true) != windows.end();
  const bool full = windows.empty() || std::find(windows.begin(), windows.end(), false) != windows.end();
  for (std::string_view key : {"rope_scaling", "rope_parameters"}) {
    const Json* settings = fields.find(key);
    if (!settings || (settings->is_object() && settings->empty())) continue;
    if (!settings->is_object()) fields.fail(key, "an object");
    const Json* chosen = nullptr;
    for (const auto& [layer, used] :
         {std::pair{"full_attention", full}, std::pair{"sliding_attention", windowed}}) {
      const auto it = settings->find(layer);
      if (!used || it == settings->end() || it->is_null()) continue;
      if (chosen && *chosen != *it)
        throw Error(
            "{}: '{}' differs between layers with and without a sliding window, which is not supported", what,
            key);
      chosen = &*it;
    }
    return chosen ? chosen : settings;
  }
  return nullptr;
}

double required(const JsonFields& settings, std::string_view key) {
  const auto value = settings.number(key);
  if (!value) settings.fail(key, "a number, which this kind of rotary scaling needs");
  return *value;
}

}  // namespace

std::string_view name_of(RopeKind kind) {
  for (const auto& [name, known] : kKinds)
    if (known == kind) return name;
  return "unknown";
}

RopeConfig parse_rope_config(const JsonFields& fields, double default_theta, const ModelConfig& config,
                             std::string_view what) {
  static const Json kEmpty = Json::object();
  const Json* object = settings_of(fields, config, what);
  const JsonFields settings(object ? *object : kEmpty, fmt::format("{}: rotary settings", what));

  RopeConfig rope;
  const auto number = [&](std::string_view key) {
    const auto inside = settings.number(key);
    return inside ? inside : fields.number(key);
  };
  auto kind = settings.string("rope_type");
  if (!kind) kind = settings.string("type");
  rope.kind = kind_of(settings, kind.value_or("default"), what);
  rope.theta = number("rope_theta").value_or(default_theta);
  rope.partial_rotary_factor = number("partial_rotary_factor").value_or(1.0);
  rope.original_max_position_embeddings = config.max_position_embeddings;
  if (rope.kind == RopeKind::standard) return rope;

  if (rope.kind == RopeKind::llama3 || rope.kind == RopeKind::yarn) {
    for (const JsonFields* place : {&fields, &settings}) {
      if (!place->has("original_max_position_embeddings")) continue;
      rope.original_max_position_embeddings = place->size("original_max_position_embeddings", kMaxPositions);
      break;
    }
  }
  rope.factor =
      rope.kind == RopeKind::yarn ? settings.number("factor").value_or(0.0) : required(settings, "factor");
  if (rope.kind == RopeKind::llama3) {
    rope.low_freq_factor = required(settings, "low_freq_factor");
    rope.high_freq_factor = required(settings, "high_freq_factor");
  }
  // A factor of 1 changes nothing, whatever the borders; with equal ones the formula would divide by zero.
  if (rope.kind == RopeKind::llama3 && rope.factor == 1.0 && rope.low_freq_factor >= rope.high_freq_factor)
    rope.kind = RopeKind::standard;
  if (rope.kind == RopeKind::yarn) {
    // Zero counts as absent in transformers (`or 32`).
    if (const double value = settings.number("beta_fast").value_or(0.0); value != 0.0) rope.beta_fast = value;
    if (const double value = settings.number("beta_slow").value_or(0.0); value != 0.0) rope.beta_slow = value;
    rope.attention_factor = settings.number("attention_factor");
    rope.mscale = settings.number("mscale");
    rope.mscale_all_dim = settings.number("mscale_all_dim");
    rope.truncate = settings.boolean("truncate").value_or(true);
  }
  return rope;
}

void check_rope(const RopeConfig& rope, std::string_view what) {
  // A base of 1 or less has no lengths of waves to scale; the upper limits keep every formula finite.
  if (!(rope.theta > 1.0 && rope.theta <= 1e15))
    throw Error("{}: rope_theta is {}, expected a number above 1 and at most 1e15", what, rope.theta);
  if (!(rope.partial_rotary_factor > 0.0 && rope.partial_rotary_factor <= 1.0))
    throw Error("{}: partial_rotary_factor is {}, expected a number above 0 and at most 1", what,
                rope.partial_rotary_factor);
  const bool absent = rope.kind == RopeKind::yarn && rope.factor == 0.0;
  if (!absent && !(rope.factor >= 1.0 && rope.factor <= 1e6))
    throw Error("{}: the factor of the rotary scaling is {}, expected a number from 1 to 1e6", what,
                rope.factor);
  if (rope.kind == RopeKind::llama3 &&
      !(rope.low_freq_factor > 0.0 && rope.high_freq_factor > rope.low_freq_factor))
    throw Error(
        "{}: llama3 rotary scaling has low_freq_factor {} and high_freq_factor {}; expected 0 < low < high",
        what, rope.low_freq_factor, rope.high_freq_factor);
  if (rope.kind == RopeKind::yarn && !(rope.beta_slow > 0.0 && rope.beta_fast >= rope.beta_slow))
    throw Error("{}: yarn rotary scaling has beta_fast {} and beta_slow {}; expected 0 < slow <= fast", what,
                rope.beta_fast, rope.beta_slow);
  if (rope.attention_factor && *rope.attention_factor < 0.0)
    throw Error("{}: attention_factor of the rotary scaling is {}, expected 0 or more", what,
                *rope.attention_factor);
}

}  // namespace reprise::weights

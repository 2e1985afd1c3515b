#include "api/fingerprint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "core/seeded_hash.h"
#include "reprise/reprise.h"

namespace reprise::api {
namespace {

std::string text_of(const weights::RopeConfig& rope) {
  const auto number = [](const std::optional<double>& value) {
    return value ? fmt::format("{}", *value) : "-";
  };
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}", name_of(rope.kind), rope.theta,
                     rope.partial_rotary_factor, rope.factor, rope.original_max_position_embeddings,
                     rope.low_freq_factor, rope.high_freq_factor, rope.beta_fast, rope.beta_slow,
                     number(rope.attention_factor), number(rope.mscale), number(rope.mscale_all_dim),
                     rope.truncate);
}

// By what the same weights may be run in several ways. What is computed of it at load counts as a weight already.
std::string text_of(const weights::ModelConfig& config) {
  return fmt::format("{} {} {} {} {} {} {} {} {} {} {} {}", config.architecture, config.num_layers,
                     config.num_heads, config.num_kv_heads, config.head_dim, config.max_position_embeddings,
                     config.rms_norm_eps, config.hidden_act, config.tie_word_embeddings,
                     config.sliding_window, fmt::join(config.layer_has_window, ""), text_of(config.rope));
}

}  // namespace

std::string fingerprint_of(const models::Model& model, std::string_view isa,
                           const engine::EngineConfig& config) {
  const std::string_view dtype = name_of(model.dtype());
  const std::string text =
      fmt::format("{:016x} {} {}", model.weight_digest(), text_of(model.config()), config.max_partition_size);
  // By a fixed key, so that it is the same in every process.
  return fmt::format("reprise-{}-{}-{}-{:016x}", version(), isa, dtype, siphash_1_3(text, HashKey{}));
}

}  // namespace reprise::api

// The defaults of transformers, by family, for fields that a config leaves out. A family that is not listed
// gets those that most families share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace reprise::weights {

enum class WindowRule : uint8_t {
  none,        // the family has no sliding window, whatever the config says
  all_layers,  // `sliding_window`, when not null, holds for every layer
  by_layer,    // `use_sliding_window` with `layer_types` or `max_window_layers`
};

struct FamilyDefaults {
  std::string_view architecture;  // of config.json
  std::string_view model_type;    // of config.json; general.architecture of GGUF files where they agree
  float rms_norm_eps = 1e-6f;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  int64_t head_dim = 0;  // 0: hidden size / heads
  WindowRule window = WindowRule::none;
  int64_t sliding_window = 0;      // of `all_layers`, when the key is absent
  int64_t max_window_layers = 28;  // of `by_layer`, when the key is absent
};

// Never null: a line without names for an unknown family.
const FamilyDefaults& family_of_architecture(std::string_view architecture);
const FamilyDefaults& family_of_model_type(std::string_view model_type);
// "llama, mistral, ...": for messages.
std::string known_model_types();

}  // namespace reprise::weights

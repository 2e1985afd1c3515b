#include "weights/family_defaults.h"

#include <array>

namespace reprise::weights {
namespace {

// Source: configuration_<family>.py of transformers 5.
constexpr std::array kFamilies = {
    FamilyDefaults{.architecture = "LlamaForCausalLM", .model_type = "llama"},
    FamilyDefaults{.architecture = "MistralForCausalLM",
                   .model_type = "mistral",
                   .window = WindowRule::all_layers,
                   .sliding_window = 4096},
    FamilyDefaults{.architecture = "Qwen2ForCausalLM", .model_type = "qwen2", .window = WindowRule::by_layer},
    FamilyDefaults{.architecture = "Qwen3ForCausalLM",
                   .model_type = "qwen3",
                   .head_dim = 128,
                   .window = WindowRule::by_layer},
    FamilyDefaults{.architecture = "Ernie4_5ForCausalLM",
                   .model_type = "ernie4_5",
                   .rms_norm_eps = 1e-5f,
                   .rope_theta = 500000.0,
                   .tie_word_embeddings = true,
                   .head_dim = 128},
};
constexpr FamilyDefaults kUnknown{};

}  // namespace

const FamilyDefaults& family_of_architecture(std::string_view architecture) {
  for (const FamilyDefaults& family : kFamilies)
    if (family.architecture == architecture) return family;
  return kUnknown;
}

const FamilyDefaults& family_of_model_type(std::string_view model_type) {
  for (const FamilyDefaults& family : kFamilies)
    if (family.model_type == model_type) return family;
  return kUnknown;
}

std::string known_model_types() {
  std::string text;
  for (const FamilyDefaults& family : kFamilies) {
    if (!text.empty()) text += ", ";
    text += family.model_type;
  }
  return text;
}

}  // namespace reprise::weights

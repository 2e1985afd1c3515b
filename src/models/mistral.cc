// Mistral: Llama without biases; every layer may have a sliding window (config.window_of_layer).
#include "models/families.h"
#include "models/layers/decoder.h"

namespace reprise::models {

Family mistral_family() {
  return {.architecture = "MistralForCausalLM",
          .supports_graph_optimization = true,
          .make = [](const weights::ModelConfig& config, WeightLoader& loader) -> std::unique_ptr<Model> {
            return std::make_unique<Decoder>(config, loader, DecoderOptions{});
          }};
}

}  // namespace reprise::models

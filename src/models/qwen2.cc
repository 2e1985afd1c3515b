// Qwen2: q, k and v have biases; upper layers may have a sliding window (config.window_of_layer).
#include "models/families.h"
#include "models/layers/decoder.h"

namespace reprise::models {

Family qwen2_family() {
  return {.architecture = "Qwen2ForCausalLM",
          .supports_graph_optimization = true,
          .make = [](const weights::ModelConfig& config, WeightLoader& loader) -> std::unique_ptr<Model> {
            return std::make_unique<Decoder>(config, loader, DecoderOptions{.attention = {.qkv_bias = true}});
          }};
}

}  // namespace reprise::models

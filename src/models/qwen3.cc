// Qwen3: every head of q and k is normalised before the rotation.
#include "models/families.h"
#include "models/layers/decoder.h"

namespace reprise::models {

Family qwen3_family() {
  return {.architecture = "Qwen3ForCausalLM",
          .supports_graph_optimization = true,
          .make = [](const weights::ModelConfig& config, WeightLoader& loader) -> std::unique_ptr<Model> {
            return std::make_unique<Decoder>(
                config, loader,
                DecoderOptions{.attention = {.qkv_bias = config.attention_bias,
                                             .output_bias = config.attention_bias,
                                             .qk_norm = true}});
          }};
}

}  // namespace reprise::models

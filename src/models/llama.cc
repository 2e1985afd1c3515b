// Llama: the plain decoder; biases only where the config asks for them.
#include "models/families.h"
#include "models/layers/decoder.h"

namespace reprise::models {

Family llama_family() {
  return {.architecture = "LlamaForCausalLM",
          .supports_graph_optimization = true,
          .make = [](const weights::ModelConfig& config, WeightLoader& loader) -> std::unique_ptr<Model> {
            return std::make_unique<Decoder>(
                config, loader,
                DecoderOptions{
                    .attention = {.qkv_bias = config.attention_bias, .output_bias = config.attention_bias},
                    .mlp_bias = config.mlp_bias});
          }};
}

}  // namespace reprise::models

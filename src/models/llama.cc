// Llama: the plain decoder; biases only where the config asks for them.
#include "models/layers/decoder.h"

namespace reprise::models {

Family llama_family() {
  return decoder_family("LlamaForCausalLM", [](const weights::ModelConfig& config) {
    return DecoderOptions{
        .attention = {.qkv_bias = config.attention_bias, .output_bias = config.attention_bias},
        .mlp_bias = config.mlp_bias};
  });
}

}  // namespace reprise::models

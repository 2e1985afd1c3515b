// Qwen3: every head of q and k is normalised before the rotation.
#include "models/layers/decoder.h"

namespace reprise::models {

Family qwen3_family() {
  return decoder_family("Qwen3ForCausalLM", [](const weights::ModelConfig& config) {
    return DecoderOptions{.attention = {.qkv_bias = config.attention_bias,
                                        .output_bias = config.attention_bias,
                                        .qk_norm = true}};
  });
}

}  // namespace reprise::models

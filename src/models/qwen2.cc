// Qwen2: q, k and v have biases; upper layers may have a sliding window (config.window_of_layer).
#include "models/layers/decoder.h"

namespace reprise::models {

Family qwen2_family() {
  return decoder_family("Qwen2ForCausalLM", [](const weights::ModelConfig&) {
    return DecoderOptions{.attention = {.qkv_bias = true}};
  });
}

}  // namespace reprise::models

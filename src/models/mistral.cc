// Mistral: Llama without biases; every layer may have a sliding window (config.window_of_layer).
#include "models/layers/decoder.h"

namespace reprise::models {

Family mistral_family() {
  return decoder_family("MistralForCausalLM", [](const weights::ModelConfig&) { return DecoderOptions{}; });
}

}  // namespace reprise::models

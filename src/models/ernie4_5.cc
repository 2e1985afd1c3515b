// ERNIE 4.5 dense: neighbouring elements of a head turn together, in f32; one switch for all biases.
#include "models/layers/decoder.h"

namespace reprise::models {

Family ernie4_5_family() {
  return decoder_family("Ernie4_5ForCausalLM", [](const weights::ModelConfig& config) {
    return DecoderOptions{.attention = {.qkv_bias = config.attention_bias,
                                        .output_bias = config.attention_bias,
                                        .rotary_style = ops::RotaryStyle::interleaved,
                                        .rotary_in_f32 = true},
                          .mlp_bias = config.mlp_bias};
  });
}

}  // namespace reprise::models

// The decoder that the Llama-like families share: embedding, layers of norm, attention, norm, MLP with
// residual adds, a last norm, and the head. A family's file says with `DecoderOptions` where it differs.
#pragma once

#include <string>
#include <vector>

#include "models/layers/attention.h"
#include "models/layers/mlp.h"
#include "models/model.h"
#include "models/registry.h"

namespace reprise::models {

struct DecoderOptions {
  AttentionTraits attention;
  bool mlp_bias = false;
};

class Decoder final : public Model {
 public:
  Decoder(const weights::ModelConfig& config, WeightLoader& loader, const DecoderOptions& options);

  ForwardOutput forward(const ForwardInput& input) const override;
  Tensor logits(const Tensor& hidden, const Tensor& rows) const override;

 private:
  struct Layer {
    std::string attention_path;  // "model.layers.3.self_attn"
    std::string mlp_path;
    Tensor attention_norm;  // f32 [hidden]
    Attention attention;
    Tensor mlp_norm;  // f32 [hidden]
    Mlp mlp;
  };

  double eps_;
  ops::RotaryParams rotary_;
  Tensor inv_freq_;   // f32 [rot_dim / 2]
  Tensor embedding_;  // packed [vocab, hidden]
  std::vector<Layer> layers_;
  Tensor norm_;  // f32 [hidden]
  Tensor head_;  // packed [vocab, hidden]; the embedding's own where tied
};

// The entry of a family that is this decoder with the options that `options` reads from its config.
Family decoder_family(std::string architecture, DecoderOptions (*options)(const weights::ModelConfig&));

}  // namespace reprise::models

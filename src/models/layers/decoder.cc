#include "models/layers/decoder.h"

#include <fmt/format.h>

#include "models/layers/rope.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/norm.h"

namespace reprise::models {

Decoder::Decoder(const weights::ModelConfig& config, WeightLoader& loader, const DecoderOptions& options)
    : Model(config, loader.dtype()), eps_(config.rms_norm_eps) {
  const Rope rope = make_rope(config.rope, config.head_dim, config.max_position_embeddings);
  rotary_ = rope.params;
  rotary_.rounded_to = options.attention.rotary_in_f32 ? DType::f32 : loader.dtype();
  inv_freq_ = loader.constant("rope.inv_freq", rope.inv_freq);
  constexpr auto kEmbedding = "model.embed_tokens.weight";
  constexpr auto kHead = "lm_head.weight";
  embedding_ = config.tie_word_embeddings
                   ? loader.tied_matrix(kEmbedding, kHead, config.vocab_size, config.hidden_size)
                   : loader.matrix(kEmbedding, config.vocab_size, config.hidden_size);
  layers_.reserve(static_cast<size_t>(config.num_layers));
  for (int64_t i = 0; i < config.num_layers; ++i) {
    const std::string path = fmt::format("model.layers.{}", i);
    layers_.push_back(
        {.attention_path = path + ".self_attn",
         .mlp_path = path + ".mlp",
         .attention_norm = loader.vector(path + ".input_layernorm.weight", config.hidden_size),
         .attention =
             Attention(loader, path + ".self_attn", config, options.attention, config.window_of_layer(i)),
         .mlp_norm = loader.vector(path + ".post_attention_layernorm.weight", config.hidden_size),
         .mlp = Mlp(loader, path + ".mlp", config, options.mlp_bias)});
  }
  norm_ = loader.vector("model.norm.weight", config.hidden_size);
  head_ = config.tie_word_embeddings ? embedding_
                                     : loader.head_matrix(kHead, config.vocab_size, config.hidden_size);
}

ForwardOutput Decoder::forward(const ForwardInput& input) const {
  const ops::RotaryAngles angles =
      ops::rotary_angles(input.positions, input.rope_lengths, inv_freq_, rotary_);
  Tensor x = ops::embedding(input.token_ids, embedding_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    {
      const LayerScope scope(layer.attention_path);
      x = ops::add(x, layer.attention(ops::rms_norm(x, layer.attention_norm, eps_), angles, input, i));
    }
    const LayerScope scope(layer.mlp_path);
    x = ops::add(x, layer.mlp(ops::rms_norm(x, layer.mlp_norm, eps_)));
  }
  const LayerScope scope("model.norm");
  x = ops::rms_norm(x, norm_, eps_);
  return {.hidden = x, .logits = logits(x, input.logit_rows)};
}

Tensor Decoder::logits(const Tensor& hidden, const Tensor& rows) const {
  const LayerScope scope("lm_head");
  return ops::matmul(ops::gather_rows(hidden, rows), head_, Tensor{}, DType::f32);
}

Family decoder_family(std::string architecture, DecoderOptions (*options)(const weights::ModelConfig&)) {
  return {.architecture = std::move(architecture),
          .supports_graph_optimization = true,
          .make = [options](const weights::ModelConfig& config, WeightLoader& loader) {
            return std::make_unique<Decoder>(config, loader, options(config));
          }};
}

}  // namespace reprise::models

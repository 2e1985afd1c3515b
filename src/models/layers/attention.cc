#include "models/layers/attention.h"

#include <cmath>

#include "ops/norm.h"

namespace reprise::models {

Attention::Attention(WeightLoader& loader, const std::string& prefix, const weights::ModelConfig& config,
                     const AttentionTraits& options, int64_t window)
    : options_(options),
      eps_(config.rms_norm_eps),
      params_{.heads = config.num_heads,
              .kv_heads = config.num_kv_heads,
              .head_dim = config.head_dim,
              .scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim)),
              .window = window},
      q_(loader, prefix + ".q_proj", config.num_heads * config.head_dim, config.hidden_size,
         options.qkv_bias),
      k_(loader, prefix + ".k_proj", config.num_kv_heads * config.head_dim, config.hidden_size,
         options.qkv_bias),
      v_(loader, prefix + ".v_proj", config.num_kv_heads * config.head_dim, config.hidden_size,
         options.qkv_bias),
      output_(loader, prefix + ".o_proj", config.hidden_size, config.num_heads * config.head_dim,
              options.output_bias) {
  if (options.qk_norm) {
    q_norm_ = loader.vector(prefix + ".q_norm.weight", config.head_dim);
    k_norm_ = loader.vector(prefix + ".k_norm.weight", config.head_dim);
  }
}

Tensor Attention::turned(const Tensor& x, const Tensor& norm, const ops::RotaryAngles& angles) const {
  return ops::rotary(norm ? ops::rms_norm(x, norm, eps_) : x, angles, params_.head_dim, options_.rotary_style,
                     !options_.rotary_in_f32);
}

Tensor Attention::operator()(const Tensor& x, const ops::RotaryAngles& angles, const ForwardInput& input,
                             size_t layer) const {
  const PagedKvView& kv = *input.kv;
  ops::AttentionParams params = params_;
  params.block_size = kv.block_size;
  params.max_model_len = kv.max_model_len;
  params.partition_size = kv.partition_size;
  const Tensor q = turned(q_(x), q_norm_, angles);
  const Tensor k = turned(k_(x), k_norm_, angles);
  const Tensor v = v_(x);
  ops::kv_write(k, v, input.slots, kv.layers[layer].keys, kv.layers[layer].values, params);
  return output_(ops::paged_attention(q, kv.layers[layer].keys, kv.layers[layer].values, input.block_tables,
                                      input.seq_of_token, input.positions, params));
}

}  // namespace reprise::models

// Llama written against the public API, with the names of its tensors, so that it must give the bits of our
// own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reprise/model.h"

namespace reprise {

inline const std::vector<std::string> kAllInputs = {"token_ids",    "positions",    "rope_lengths", "slots",
                                                    "seq_of_token", "block_tables", "logit_rows"};

// What a test changes about the model below.
struct Twist {
  std::function<Value(const Value&)> activation = [](const Value& x) { return nn::silu(x); };
  std::function<void(const ModelInputs&, const Value& x)> in_forward = nullptr;
  bool all_logits = false;
};

class PlainLlama final : public Backbone {
 public:
  PlainLlama(WeightReader& weights, Twist twist)
      : twist_(std::move(twist)), shape_(weights.shape()), rotary_(weights) {
    const int64_t hidden = shape_.hidden_size;
    const int64_t kv = shape_.num_kv_heads * shape_.head_dim;
    const int64_t all = shape_.num_heads * shape_.head_dim;
    embedding_ = weights.matrix("model.embed_tokens.weight", shape_.vocab_size, hidden);
    for (int64_t i = 0; i < shape_.num_layers; ++i) {
      const std::string path = "model.layers." + std::to_string(i);
      const auto matrix = [&](const std::string& name, int64_t rows, int64_t columns) {
        return weights.matrix(path + name + "_proj.weight", rows, columns);
      };
      blocks_.push_back({.path = path,
                         .norm = weights.vector(path + ".input_layernorm.weight", hidden),
                         .q = matrix(".self_attn.q", all, hidden),
                         .k = matrix(".self_attn.k", kv, hidden),
                         .v = matrix(".self_attn.v", kv, hidden),
                         .o = matrix(".self_attn.o", hidden, all),
                         .mlp_norm = weights.vector(path + ".post_attention_layernorm.weight", hidden),
                         .gate = matrix(".mlp.gate", shape_.intermediate_size, hidden),
                         .up = matrix(".mlp.up", shape_.intermediate_size, hidden),
                         .down = matrix(".mlp.down", hidden, shape_.intermediate_size)});
    }
    norm_ = weights.vector("model.norm.weight", hidden);
    head_ =
        shape_.tie_word_embeddings ? embedding_ : weights.matrix("lm_head.weight", shape_.vocab_size, hidden);
  }

  ModelOutputs forward(const ModelInputs& inputs) const override {
    const nn::Rotary::Angles angles = rotary_.angles(inputs);
    Value x = nn::embedding(inputs["token_ids"], embedding_);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Block& block = blocks_[i];
      const Layer layer(block.path);
      const Value normed = nn::rms_norm(x, block.norm, shape_.rms_norm_eps);
      const Value attended =
          nn::attention(angles.turn(nn::linear(normed, block.q)), angles.turn(nn::linear(normed, block.k)),
                        nn::linear(normed, block.v), inputs.kv_cache(static_cast<int64_t>(i)));
      x = nn::add(x, nn::linear(attended, block.o));
      const Value wide = nn::rms_norm(x, block.mlp_norm, shape_.rms_norm_eps);
      x = nn::add(
          x, nn::linear(nn::mul(twist_.activation(nn::linear(wide, block.gate)), nn::linear(wide, block.up)),
                        block.down));
    }
    x = nn::rms_norm(x, norm_, shape_.rms_norm_eps);
    if (twist_.in_forward) twist_.in_forward(inputs, x);
    return {.hidden = x,
            .logits = twist_.all_logits ? nn::logits(x, head_) : logits(x, inputs["logit_rows"])};
  }
  Value logits(const Value& hidden, const Value& rows) const override {
    return nn::logits(nn::gather_rows(hidden, rows), head_);
  }

 private:
  struct Block {
    std::string path;
    Value norm, q, k, v, o, mlp_norm, gate, up, down;
  };
  Twist twist_;
  ModelShape shape_;
  nn::Rotary rotary_;
  Value embedding_, norm_, head_;
  std::vector<Block> blocks_;
};

inline ModelFamily plain_llama(const std::string& architecture, const Twist& twist = {}) {
  return {.architecture = architecture, .inputs = kAllInputs, .make = [twist](WeightReader& weights) {
            return std::make_unique<PlainLlama>(weights, twist);
          }};
}

}  // namespace reprise

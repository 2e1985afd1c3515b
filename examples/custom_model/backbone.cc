#include "backbone.h"

#include <algorithm>

namespace {

using reprise::Value;
namespace nn = reprise::nn;

const reprise::Op squared_relu = reprise::register_op(
    {.name = "squared_relu", .run = [](const float* x, float* y, int64_t rows, int64_t columns) noexcept {
       for (int64_t i = 0; i < rows * columns; ++i) y[i] = std::max(x[i], 0.0f) * std::max(x[i], 0.0f);
     }});

// weight and bias, named as the checkpoint has them.
struct LayerNorm {
  LayerNorm(reprise::WeightReader& weights, const std::string& name)
      : weight(weights.vector(name + ".weight", weights.shape().hidden_size)),
        bias(weights.vector(name + ".bias", weights.shape().hidden_size)),
        eps(weights.shape().config.number("layer_norm_eps").value_or(1e-5)) {}
  Value operator()(const Value& x) const { return nn::layer_norm(x, weight, bias, eps); }

  Value weight, bias;
  double eps;
};

// x + attention(norm(x)) + mlp(norm(x))
struct Block {
  Block(reprise::WeightReader& weights, const std::string& path)
      : attention_path(path + ".attention"), mlp_path(path + ".mlp"), norm(weights, path + ".norm") {
    const reprise::ModelShape& shape = weights.shape();
    const int64_t heads = shape.num_heads * shape.head_dim;
    const int64_t kv_heads = shape.num_kv_heads * shape.head_dim;
    query = weights.matrix(attention_path + ".query.weight", heads, shape.hidden_size);
    key = weights.matrix(attention_path + ".key.weight", kv_heads, shape.hidden_size);
    value = weights.matrix(attention_path + ".value.weight", kv_heads, shape.hidden_size);
    out = weights.matrix(attention_path + ".out.weight", shape.hidden_size, heads);
    up = weights.matrix(mlp_path + ".up.weight", shape.intermediate_size, shape.hidden_size);
    up_bias = weights.vector(mlp_path + ".up.bias", shape.intermediate_size);
    down = weights.matrix(mlp_path + ".down.weight", shape.hidden_size, shape.intermediate_size);
  }

  Value attend(const Value& x, const nn::Rotary::Angles& angles, const reprise::KvCache& cache) const {
    const reprise::Layer layer(attention_path);
    const Value q = angles.turn(nn::linear(x, query));
    const Value k = angles.turn(nn::linear(x, key));
    return nn::linear(nn::attention(q, k, nn::linear(x, value), cache), out);
  }
  Value feed_forward(const Value& x) const {
    const reprise::Layer layer(mlp_path);
    return nn::linear(squared_relu(nn::linear(x, up, up_bias)), down);
  }

  std::string attention_path, mlp_path;
  LayerNorm norm;
  Value query, key, value, out, up, up_bias, down;
};

class SideBySide final : public reprise::Backbone {
 public:
  explicit SideBySide(reprise::WeightReader& weights)
      : embedding_(
            weights.matrix("embedding.weight", weights.shape().vocab_size, weights.shape().hidden_size)),
        rotary_(weights),
        norm_(weights, "norm") {
    for (int64_t i = 0; i < weights.shape().num_layers; ++i)
      blocks_.emplace_back(weights, "blocks." + std::to_string(i));
  }

  reprise::ModelOutputs forward(const reprise::ModelInputs& inputs) const override {
    const nn::Rotary::Angles angles = rotary_.angles(inputs);
    Value x = nn::embedding(inputs["token_ids"], embedding_);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Value normed = blocks_[i].norm(x);
      const Value attended = blocks_[i].attend(normed, angles, inputs.kv_cache(static_cast<int64_t>(i)));
      x = nn::add(x, nn::add(attended, blocks_[i].feed_forward(normed)));
    }
    x = norm_(x);
    return {.hidden = x, .logits = logits(x, inputs["logit_rows"])};
  }

  // The head is the embedding's own matrix.
  Value logits(const Value& hidden, const Value& rows) const override {
    return nn::logits(nn::gather_rows(hidden, rows), embedding_);
  }

 private:
  Value embedding_;
  nn::Rotary rotary_;
  std::vector<Block> blocks_;
  LayerNorm norm_;
};

}  // namespace

reprise::ModelFamily side_by_side_family() {
  return {.architecture = "SideBySideForCausalLM",
          .supports_graph_optimization = true,
          .inputs = {"token_ids", "positions", "rope_lengths", "slots", "seq_of_token", "block_tables",
                     "logit_rows"},
          // Its config.json has a name of its own for this one.
          .prepare_config =
              [](reprise::ConfigFields& config) {
                if (const auto width = config.integer("mlp_width")) config.set("intermediate_size", *width);
              },
          .make = [](reprise::WeightReader& weights) { return std::make_unique<SideBySide>(weights); }};
}

reprise::ModelFamily op_by_op_family() {
  reprise::ModelFamily family = side_by_side_family();
  family.architecture = "OpByOpForCausalLM";
  family.supports_graph_optimization = false;
  return family;
}

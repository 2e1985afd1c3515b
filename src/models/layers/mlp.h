// The gated feed-forward part of a layer: down(act(gate(x)) * up(x)).
#pragma once

#include <string>

#include "models/layers/linear.h"
#include "ops/elementwise.h"
#include "weights/model_config.h"

namespace reprise::models {

class Mlp {
 public:
  // Throws Error when config.hidden_act is none of silu, gelu, gelu_pytorch_tanh (and their other names).
  Mlp(WeightLoader& loader, const std::string& prefix, const weights::ModelConfig& config, bool bias);

  Tensor operator()(const Tensor& x) const {
    return down_(ops::mul(activation_(gate_(x), ops::Where::current()), up_(x)));
  }

 private:
  Tensor (*activation_)(const Tensor&, ops::Where);
  Linear gate_, up_, down_;
};

}  // namespace reprise::models

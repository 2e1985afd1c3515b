#include "models/layers/mlp.h"

#include "core/error.h"

namespace reprise::models {
namespace {

Tensor (*activation_named(const std::string& name))(const Tensor&, ops::Where) {
  if (name == "silu" || name == "swish") return ops::silu;
  if (name == "gelu") return ops::gelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_tanh") return ops::gelu_tanh;
  throw Error("[config] hidden_act is '{}'; known are silu, gelu and gelu_pytorch_tanh", name);
}

}  // namespace

Mlp::Mlp(WeightLoader& loader, const std::string& prefix, const weights::ModelConfig& config, bool bias)
    : activation_(activation_named(config.hidden_act)),
      gate_(loader, prefix + ".gate_proj", config.intermediate_size, config.hidden_size, bias),
      up_(loader, prefix + ".up_proj", config.intermediate_size, config.hidden_size, bias),
      down_(loader, prefix + ".down_proj", config.hidden_size, config.intermediate_size, bias) {}

}  // namespace reprise::models

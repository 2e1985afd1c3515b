// A small model with an op of the test's own in its middle: what each rule of a capture is broken with.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "models/layers/attention.h"
#include "models/layers/mlp.h"
#include "models/layers/rope.h"
#include "models/registry.h"
#include "ops/embedding.h"
#include "ops/launch_table.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {

// What stands between attention and MLP; its launches belong to the layer "probe".
using Probe = std::function<Tensor(const Tensor& x, const models::ForwardInput& input)>;

class ProbeModel final : public models::Model {
 public:
  ProbeModel(const weights::ModelConfig& config, models::WeightLoader& loader, Probe probe)
      : Model(config, loader.dtype()),
        probe_(std::move(probe)),
        inv_freq_(loader.constant("rope.inv_freq", rope_of(config).inv_freq)),
        embedding_(loader.matrix("embedding", config.vocab_size, config.hidden_size)),
        attention_(loader, "attention", config, {}, 0),
        norm_(loader.vector("norm", config.hidden_size)),
        mlp_(loader, "mlp", config, false) {
    rotary_ = rope_of(config).params;
    rotary_.rounded_to = loader.dtype();
  }

  models::ForwardOutput forward(const models::ForwardInput& input) const override {
    const ops::RotaryAngles angles =
        ops::rotary_angles(input.positions, input.rope_lengths, inv_freq_, rotary_);
    Tensor x = ops::embedding(input.token_ids, embedding_);
    {
      const LayerScope scope("attention");
      x = ops::add(x, attention_(ops::rms_norm(x, norm_, 1e-5), angles, input, 0));
    }
    {
      const LayerScope scope("probe");
      x = probe_(x, input);
    }
    const LayerScope scope("mlp");
    x = ops::rms_norm(ops::add(x, mlp_(ops::rms_norm(x, norm_, 1e-5))), norm_, 1e-5);
    return {.hidden = x, .logits = logits(x, input.logit_rows)};
  }
  Tensor logits(const Tensor& hidden, const Tensor& rows) const override {
    const LayerScope scope("head");
    return ops::matmul(ops::gather_rows(hidden, rows), embedding_, Tensor{}, DType::f32);
  }

 private:
  static models::Rope rope_of(const weights::ModelConfig& config) {
    return models::make_rope(config.rope, config.head_dim, config.max_position_embeddings);
  }

  Probe probe_;
  ops::RotaryParams rotary_;
  Tensor inv_freq_, embedding_;
  models::Attention attention_;
  Tensor norm_;
  models::Mlp mlp_;
};

inline constexpr const char* kProbeFamily = "ProbeForCausalLM";

// From now on kProbeFamily is a model around `probe`.
inline void register_probe(Probe probe) {
  models::register_family(
      {.architecture = kProbeFamily,
       .supports_graph_optimization = true,
       .make = [probe = std::move(probe)](const weights::ModelConfig& config, models::WeightLoader& loader) {
         return std::make_unique<ProbeModel>(config, loader, probe);
       }});
}

// y = x, row by row, by an op whose launch function does something else before.
template <void (*before)(const ops::OpCall&, Stream&)>
void launch_copy(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                 ops::WorkspaceAllocator&) {
  before(call, stream);
  stream.copy(call.input(0), outputs[0]);
}

inline constexpr std::string_view kProbeInputs[] = {"x"};

constexpr ops::OpSchema copying_op(std::string_view name, ops::OpKind kind = ops::OpKind::data_movement,
                                   bool capturable = true) {
  return {.name = name,
          .kind = kind,
          .input_names = kProbeInputs,
          .capturable = capturable,
          .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
            outputs.add(call.input(0).dtype, call.input(0).shape);
          }};
}

// A model whose probe is that op.
inline void register_probe(const ops::OpSchema& schema, ops::OpLaunch launch) {
  ops::register_launch(schema, DeviceKind::cpu, launch);
  register_probe([&schema](const Tensor& x, const models::ForwardInput&) {
    return ops::dispatch_one(ops::OpCall(schema, {&x}));
  });
}

}  // namespace reprise::engine

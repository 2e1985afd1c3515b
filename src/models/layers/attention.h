// Self-attention of one layer, with what the families vary: biases, norms of q and k, the style of rotation,
// windows.
#pragma once

#include <string>

#include "models/layers/linear.h"
#include "models/model.h"
#include "ops/attention.h"
#include "ops/rotary.h"

namespace reprise::models {

struct AttentionTraits {
  bool qkv_bias = false;
  bool output_bias = false;
  bool qk_norm = false;  // RMS norm of every head of q and k before the rotation
  ops::RotaryStyle rotary_style = ops::RotaryStyle::half;
  bool rotary_in_f32 = false;  // angles and products keep f32 until the sum is rounded
};

class Attention {
 public:
  Attention(WeightLoader& loader, const std::string& prefix, const weights::ModelConfig& config,
            const AttentionTraits& options, int64_t window);

  // x [T, hidden] -> [T, hidden]; writes this layer's keys and values.
  Tensor operator()(const Tensor& x, const ops::RotaryAngles& angles, const ForwardInput& input,
                    size_t layer) const;

 private:
  Tensor turned(const Tensor& x, const Tensor& norm, const ops::RotaryAngles& angles) const;

  AttentionTraits options_;
  double eps_;
  ops::AttentionParams params_;
  Linear q_, k_, v_, output_;
  Tensor q_norm_, k_norm_;  // f32 [head_dim], or empty
};

}  // namespace reprise::models

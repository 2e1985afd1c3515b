// From a config's rotary settings to inverse frequencies. Source of the formulas: modeling_rope_utils.py of
// Hugging Face transformers (default, linear, dynamic NTK, YaRN [arXiv:2309.00071], Llama 3).
#pragma once

#include <vector>

#include "ops/rotary.h"
#include "weights/model_config.h"

namespace reprise::models {

struct Rope {
  std::vector<float> inv_freq;  // [rot_dim / 2], for lengths within the original context
  ops::RotaryParams params;
};

// Throws Error on settings that make no sense (zero factor, odd rotary dimension).
Rope make_rope(const weights::RopeConfig& config, int64_t head_dim, int64_t max_position_embeddings);

}  // namespace reprise::models

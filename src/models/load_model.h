// Makes a model that is ready to run from a config and a checkpoint.
#pragma once

#include <memory>

#include "core/device.h"
#include "core/thread_team.h"
#include "models/model.h"
#include "weights/checkpoint.h"

namespace reprise::models {

// Loads every weight with all threads of the team into the memory of `device`, which outlives the model,
// packed for its kernels. `checkpoint` null: random weights. `dtype` is f32 or bf16. Throws Error on an
// unknown architecture, a missing tensor, a wrong shape, and a checkpoint that contradicts the config.
// Nothing is kept when it throws.
std::unique_ptr<const Model> load_model(const weights::ModelConfig& config,
                                        const weights::Checkpoint* checkpoint, DType dtype, ThreadTeam& team,
                                        Device& device);

// The same model with weights that have sizes and addresses but no content: nothing is read, no page of them
// touched. For plans and traces, which never run a kernel on them.
std::unique_ptr<const Model> model_skeleton(const weights::ModelConfig& config, DType dtype, Device& device);

// Bytes that the weights of such a model take, packed for `device`, and its parameters; nothing is read or
// touched.
struct WeightSize {
  size_t bytes = 0;
  int64_t parameters = 0;
};
WeightSize measure_weights(const weights::ModelConfig& config, DType dtype, const Device& device);

}  // namespace reprise::models

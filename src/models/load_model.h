// Makes a model that is ready to run from a config and a checkpoint.
#pragma once

#include <memory>

#include "core/thread_team.h"
#include "models/model.h"
#include "weights/checkpoint.h"

namespace reprise::models {

// Loads every weight with all threads of the team into `memory`, which outlives the model. `checkpoint` null:
// random weights. `dtype` is f32 or bf16. Throws Error on an unknown architecture, a missing tensor, a wrong
// shape, and a checkpoint that contradicts the config. Nothing is kept when it throws.
std::unique_ptr<const Model> load_model(const weights::ModelConfig& config,
                                        const weights::Checkpoint* checkpoint, DType dtype, ThreadTeam& team,
                                        MemorySpace& memory);

// The same model with weights that have sizes and addresses but no content: nothing is read, no page of them
// touched. For plans and traces, which never run a kernel on them.
std::unique_ptr<const Model> model_skeleton(const weights::ModelConfig& config, DType dtype,
                                            MemorySpace& memory);

// Bytes that the packed weights of such a model take, and its parameters; nothing is read or touched.
struct WeightSize {
  size_t bytes = 0;
  int64_t parameters = 0;
};
WeightSize measure_weights(const weights::ModelConfig& config, DType dtype);

}  // namespace reprise::models

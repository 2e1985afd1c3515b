// What a model and its flags come to, before a weight is read: one place, for loading a model and for the
// commands that only look at one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/isa.h"
#include "engine/engine_config.h"
#include "models/registry.h"
#include "reprise/reprise.h"
#include "weights/generation_defaults.h"
#include "weights/model_config.h"

namespace reprise::api {

struct ModelSetup {
  std::filesystem::path path;
  weights::ModelConfig config;
  weights::GenerationDefaults defaults;
  models::Family family;
  engine::EngineConfig engine;
  DType dtype = DType::f32;
  Isa isa = Isa::scalar;
  std::vector<std::string> warnings;  // settings that are not wrong, but may not do what was meant
};

// Throws Error on whatever can't run, graph settings among it.
ModelSetup set_up_model(const LoadOptions& options);

}  // namespace reprise::api

// Config, settings and device level of a model, checked before any weight is read: for loading a model, and
// for the commands that only inspect one (plan, explain, check).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/isa.h"
#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "models/registry.h"
#include "reprise/reprise.h"
#include "weights/generation_defaults.h"
#include "weights/model_config.h"

namespace reprise {
class ThreadTeam;
}

namespace reprise::api {

struct ModelSetup {
  std::filesystem::path path;
  weights::ModelConfig config;
  weights::GenerationDefaults defaults;
  models::Family family;
  engine::EngineConfig engine;
  engine::GraphCapabilities can;  // of the device that it will run on, and of its compiler
  graph::CompilerOptions compiler;
  std::string compiled;  // path of an artefact; empty: none
  DType dtype = DType::f32;
  Isa isa = Isa::scalar;
  int threads = 1;                    // that will run it
  std::vector<std::string> warnings;  // settings that are valid but without effect, or unlikely to be meant
};

// Throws Error, with the flag's name, on settings that are wrong whatever the model: values out of range and
// graph settings that contradict each other. set_up_model() finds these too.
void check_load_options(const LoadOptions& options);

// Whether all kernels are compiled before the first request: what is given, or REPRISE_COMPILE_BEFORE_READY.
// Throws Error on another value of it than 1, 0 and nothing.
bool compile_before_ready(const LoadOptions& options);

// Whether kernels are timed: REPRISE_COMPILE_TRIALS, 1 where it is not given. Throws Error on other values.
bool compile_trials();

// Throws Error on a model, a flag or graph settings that can't run.
ModelSetup set_up_model(const LoadOptions& options);

// The device that the model is set up for, and the compiler if the settings can ask for one.
enum class Purpose { run, look };  // look: nothing runs, so no code is made
struct OwnedServices {
  std::unique_ptr<Device> device;
  std::unique_ptr<graph::KernelCompiler> compiler;  // null: none is linked, or none is asked for

  engine::EngineServices services() const { return {*device, compiler.get()}; }
};
// `team` outlives them. Throws what the compiler's factory throws, and Error on an artefact that is damaged or for
// something else.
OwnedServices make_services(const ModelSetup& setup, ThreadTeam& team, Purpose purpose = Purpose::run);

// Where level 2 is asked for and nothing here can compile: looks for each kernel in the artefact and the cache, without
// weights. Throws Error where one is missing.
void require_kernels(const ModelSetup& setup, const OwnedServices& owned);

}  // namespace reprise::api

// A model ready to serve: what LanguageModel and ServingModel have in common. From the settings to an engine,
// with the text side, the threads and what is said about it all.
#pragma once

#include <memory>

#include "api/model_setup.h"
#include "api/prepare.h"
#include "api/text_model.h"
#include "core/thread_team.h"
#include "engine/engine.h"
#include "reprise/reprise.h"
#include "weights/generation_defaults.h"

namespace reprise::api {

struct LoadedModel {
  weights::GenerationDefaults defaults;
  TextModel text;
  std::unique_ptr<ThreadTeam> team;
  OwnedServices services;
  // May be taken out, to run on another thread; must end before the others.
  std::unique_ptr<engine::Engine> engine;
  ModelInfo info;
  PrepareLimits limits;
};

// `sink` gets the engine's events. Throws Error where the model can't be read, doesn't fit into memory, or an
// option is wrong; what can't run is refused before the weights are read.
LoadedModel load_parts(const LoadOptions& options, engine::EventSink sink);

// The API's defaults overlaid with the checkpoint's.
Sampling sampling_of(const weights::GenerationDefaults& defaults);

// `engine`: the one of `loaded`, wherever it is now; on the thread that runs it.
GraphReport report_of(const LoadedModel& loaded, const engine::Engine& engine);

}  // namespace reprise::api

// The flags that say which model is loaded and what it may use: one set for every command that runs one.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "api/model_setup.h"
#include "reprise/reprise.h"

namespace reprise {
class Device;
class ThreadTeam;
}  // namespace reprise
namespace reprise::models {
class Model;
}

namespace reprise::cli {

class Command;

// A flag for every field of LoadOptions but `seed`. `options` must live as long as the command. Values that
// are wrong whatever the model and the machine are wrong usage.
// With `optional`, the caller finds out where no model was given.
enum class ModelFlag { required, optional };
void add_model_flags(Command& command, LoadOptions& options, ModelFlag model = ModelFlag::required);

// Loads the model and prints its warnings on standard error.
LanguageModel load_model(const LoadOptions& options);

// Prints on standard error how steps ran, where graph optimization is asked for. Throws Error where
// --graph-verify found steps that differ: their results are wrong.
void report_graphs(const LanguageModel& model, const LoadOptions& options);

// For commands that look at a model without running it. Prints warnings like load_model(). --graph-opt auto
// is measured at start only, so the candidate that needs most memory is shown.
api::ModelSetup set_up_to_look(const LoadOptions& options);
// The weights of the checkpoint, or random ones (--load-choices dummy).
std::unique_ptr<const models::Model> load_weights(const api::ModelSetup& setup, const LoadOptions& options,
                                                  ThreadTeam& team, Device& device);

std::string size_text(size_t bytes);  // "1.19 GB"

}  // namespace reprise::cli

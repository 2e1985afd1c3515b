// The flags that say which model is loaded and what it may use: one set for every command that runs one.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <memory>
#include <string>

#include "api/model_setup.h"
#include "reprise/reprise.h"

namespace reprise {
class ThreadTeam;
}
namespace reprise::models {
class Model;
}

namespace reprise::cli {

// Bound to `options`, which must outlive the parsing.
void add_model_flags(CLI::App& command, LoadOptions& options);

// Loads and says on standard error what the settings may not do as meant.
LanguageModel load_model(const LoadOptions& options);

// Says on standard error how steps ran, where graph optimisation is asked for. Throws Error where
// --graph-verify found steps that differ: what came of them is wrong.
void report_graphs(const LanguageModel& model, const LoadOptions& options);

// For commands that look at a model without running it: warns like load_model(), and where --graph-opt auto
// leaves the level open, takes the way to run that needs most.
api::ModelSetup set_up_to_look(const LoadOptions& options);
// The weights themselves, or random ones.
std::unique_ptr<const models::Model> load_weights(const api::ModelSetup& setup, const LoadOptions& options,
                                                  ThreadTeam& team);

// An option whose value api::parse_size() reads; anything else is wrong usage.
CLI::Option* add_size_option(CLI::App& command, const std::string& name, size_t& value,
                             const std::string& help);

std::string size_text(size_t bytes);  // "1.19 GB"

}  // namespace reprise::cli

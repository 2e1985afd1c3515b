// The sampling fields of the API, as JSON fields of a prompt line and as flags, from one table.
#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <string>

#include "core/json.h"
#include "reprise/reprise.h"

namespace reprise::cli {

// Sets the field if `name` is one. Throws Error on a value of the wrong type; ranges are checked by the
// engine.
bool set_sampling_field(Sampling& sampling, const std::string& name, const Json& value);

// Names of all fields, for messages.
std::string sampling_field_names();

// Adds a flag for each field ("--top-p 0.9", "--ignore-eos", "--stop A --stop B", "--logit-bias '{"5": 2}'").
class SamplingFlags {
 public:
  explicit SamplingFlags(CLI::App& command);
  // Puts what was given on the command line over `base`.
  Sampling over(Sampling base) const;

 private:
  std::map<std::string, std::vector<std::string>> given_;
};

}  // namespace reprise::cli

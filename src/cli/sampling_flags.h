// A flag for every sampling field: "--top-p 0.9", "--ignore-eos", "--stop A --stop B", "--logit-bias '{"5":
// 2}'".
#pragma once

#include <CLI/CLI.hpp>

#include <map>
#include <string>
#include <vector>

#include "reprise/reprise.h"

namespace reprise::cli {

class SamplingFlags {
 public:
  // Adds the flags to `command`; must outlive its parsing.
  explicit SamplingFlags(CLI::App& command);
  // Puts what was given on the command line over `base`.
  Sampling over(Sampling base) const;

 private:
  std::map<std::string, std::vector<std::string>> given_;
};

}  // namespace reprise::cli

// A flag for every sampling field of the API, by its name with dashes: "--top-p 0.9", "--ignore-eos",
// "--stop A --stop B", "--logit-bias '{"5": 2}'".
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/json.h"
#include "reprise/reprise.h"

namespace reprise::cli {

class Command;

class SamplingFlags {
 public:
  // Adds the flags to `command`, which must live as long as this. Values of a wrong type and out of range are
  // wrong usage.
  explicit SamplingFlags(Command& command);
  SamplingFlags(const SamplingFlags&) = delete;
  SamplingFlags& operator=(const SamplingFlags&) = delete;

  // What was given on the command line over `base`.
  Sampling over(Sampling base) const;
  // The same as fields of a request's body.
  const Json& given() const { return fields_; }

 private:
  std::vector<std::function<void(Sampling&)>> given_;
  Json fields_ = Json::object();
};

}  // namespace reprise::cli

// A model of this process behind a server of this process, for commands that ask one.
#pragma once

#include <memory>
#include <string>

#include "reprise/reprise.h"

namespace reprise::cli {

class ServedHere {
 public:
  // Loads the model and serves it on a unix socket that nobody else can reach. Throws Error.
  explicit ServedHere(const LoadOptions& load);
  ~ServedHere();
  ServedHere(const ServedHere&) = delete;
  ServedHere& operator=(const ServedHere&) = delete;
  std::string url() const;  // "unix:PATH"

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise::cli

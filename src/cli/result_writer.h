// Writes results in the order of the prompts, each as soon as those before it are written.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "core/text_output.h"

namespace reprise::cli {

// What a result prints: lines for standard output, and for people an error on standard error.
struct Printed {
  std::string out;
  std::string error;
};

class ResultWriter {
 public:
  explicit ResultWriter(TextOutput& out) : out_(out) {}

  // Each index is given once. Throws Error where the output can't be written.
  void add(size_t index, Printed printed);
  // Results before this index are written.
  size_t next() const { return next_; }
  // How many results were written.
  size_t written() const { return written_; }
  // Writes what waits for a result that will not come.
  void write_rest();

 private:
  void write(const Printed& printed);

  TextOutput& out_;
  size_t next_ = 0;
  size_t written_ = 0;
  std::map<size_t, Printed> waiting_;
};

}  // namespace reprise::cli

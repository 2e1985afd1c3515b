// Programs whose text is one line of words and numbers: "attention float32 heads 8 ...".
#pragma once

#include <cstdint>
#include <string_view>

#include "core/dtype.h"

namespace reprise::loop {

// Reads such a line from its begin. All throw Error, with the line, on anything else than what is asked for.
class Fields {
 public:
  explicit Fields(std::string_view line) : line_(line), rest_(line) {}

  void word(std::string_view word);
  DType activations();  // f32 or bf16
  // Behind `word`: 0 to 2^32, so that products of two fit; 0 or 1; the bits of an f32, as 8 hexadecimal digits.
  int64_t number(std::string_view word);
  bool flag(std::string_view word);
  float float_bits(std::string_view word);
  // The text is over, and is what print() makes of what was read.
  void end(std::string_view printed);

 private:
  uint64_t digits(int base, uint64_t most, std::string_view expected);

  std::string_view line_, rest_;
};

}  // namespace reprise::loop

// Programs as text, for dumps, for the compiler's process and for keys of caches: equal programs print alike,
// and what is printed parses to the same program.
//
//   loop silu_mul columns 3072
//   gate bf16 row
//   up bf16 row
//   y bf16 row written
//   lanes
//   %0 = load gate
//   %1 = constant 3f800000          the bits of 1.0
//   ...
//   store y %8
#pragma once

#include <string>
#include <string_view>

#include "loop/program.h"

namespace reprise::loop {

std::string print(const Program& program);

// Verified. Throws Error, with the line, on what is no program.
Program parse(std::string_view text);

}  // namespace reprise::loop

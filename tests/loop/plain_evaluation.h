// A program by its definition (loop/program.h), one element at a time: what every other way to run it must equal.
#pragma once

#include <cstddef>
#include <span>

#include "core/isa.h"
#include "loop/program.h"

namespace reprise::loop {

// `buffers` as KernelContext::buffers has them. The level tells only for the rounding of denormals to bf16.
void evaluate_plainly(const Program& program, std::span<std::byte* const> buffers, int64_t rows, Isa level);

}  // namespace reprise::loop

// Which ISA level serves. A feature bit says that an instruction exists, not that it works here (AMX under
// some virtual machines) or that it pays (vdpbf16ps is slower than float FMA on Intel, twice as fast on AMD).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/isa.h"

namespace reprise::cpu {

// Levels that this process may use, ascending; scalar is always among them. AMX is in it only if leaf 7 of
// CPUID has it, the system saves its state (XCR0), the kernel grants it to this process, and a product of
// tiles comes out right in a child process, where an illegal instruction harms nobody. Found out once; safe
// from any thread.
const std::vector<Isa>& available_isas();

// The level for models of `dtype` (f32 or bf16). `requested` is a name ("avx2"), "auto" or empty; empty asks
// the environment's REPRISE_ISA, then means "auto", which measures once for the process (a few ms). Throws
// Error for a name that isn't a level, or a level that this CPU lacks.
Isa choose_isa(DType dtype, std::string_view requested = {});

}  // namespace reprise::cpu

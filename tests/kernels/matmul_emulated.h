// The AVX-512, AVX512-BF16 and AMX bodies of the matmul, compiled against emulated instructions, so that
// their logic is checked on a CPU without them.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu::testing {

// Null where there is no emulation (and no need of one).
MatmulFunction emulated_matmul(Isa isa, DType dtype);

}  // namespace reprise::kernels::cpu::testing

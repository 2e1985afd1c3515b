// The getter `NAME_kernel` of every row of vec_kernels.inc; what a kernel's buffers are stands in the header
// of its kind.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

#define REPRISE_VEC_PAIR(name, ...) const Kernel& name##_kernel(Isa isa, DType dtype);
#define REPRISE_VEC_F32 REPRISE_VEC_PAIR
#include "kernels/cpu/vec_kernels.inc"

}  // namespace reprise::kernels::cpu

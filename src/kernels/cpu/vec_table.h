// The kernels that are written on vec.h, one table for each level of the ISA. A new kernel is a row of
// vec_kernels.inc.
#pragma once

#include "core/dtype.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct KernelPair {
  Kernel f32, bf16;
};

struct VecTable {
#define REPRISE_VEC_PAIR(name, ...) KernelPair name;
#define REPRISE_VEC_F32(name) Kernel name;
#include "kernels/cpu/vec_kernels.inc"
};

const VecTable& vec_table_scalar();
const VecTable& vec_table_avx2();
const VecTable& vec_table_avx512();
const VecTable& vec_table_avx512_bf16();

}  // namespace reprise::kernels::cpu

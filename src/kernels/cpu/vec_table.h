// The kernels that are written on vec.h, one table for each level of the ISA. A new kernel is a line here,
// one in vec_table_inl.h, and its getter in vec_table.cc.
#pragma once

#include "core/dtype.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct KernelPair {
  Kernel f32, bf16;
};

struct VecTable {
  KernelPair rms_norm, add_rms_norm, layer_norm;
  KernelPair rotary, rotary_kv_write;
  KernelPair add, mul, silu, gelu, gelu_tanh, scale, silu_mul, gelu_mul, gelu_tanh_mul;
  KernelPair gather_rows, kv_write, paged_attention, attention_merge;
  Kernel rotary_angles, log_sum_exp, log_softmax, argmax;  // f32 only
};

const VecTable& vec_table_scalar();
const VecTable& vec_table_avx2();
const VecTable& vec_table_avx512();

}  // namespace reprise::kernels::cpu

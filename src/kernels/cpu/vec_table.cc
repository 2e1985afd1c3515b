// Which table and which entry of it serves.
#include "kernels/cpu/vec_table.h"

#include "core/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/gather.h"
#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/rotary.h"
#include "kernels/cpu/rotary_kv_write.h"
#include "kernels/cpu/softmax.h"

namespace reprise::kernels::cpu {

namespace {

// Levels beyond AVX-512 add products of bf16, which none of these kernels uses: p and the sums are f32.
const VecTable& table_of(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return vec_table_scalar();
    case Isa::avx2:
      return vec_table_avx2();
    case Isa::avx512:
    case Isa::avx512_bf16:
    case Isa::amx:
      break;
  }
  return vec_table_avx512();
}

const Kernel& pick(const KernelPair& pair, DType dtype) {
  REPRISE_CHECK(dtype == DType::f32 || dtype == DType::bf16, "activations are f32 or bf16, not {}",
                name_of(dtype));
  return dtype == DType::f32 ? pair.f32 : pair.bf16;
}

const Kernel& pick(const Kernel& kernel, DType dtype) {
  REPRISE_CHECK(dtype == DType::f32, "{} works on f32 only", kernel.name);
  return kernel;
}

}  // namespace

const Kernel& rms_norm_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).rms_norm, dtype);
}
const Kernel& add_rms_norm_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).add_rms_norm, dtype);
}
const Kernel& layer_norm_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).layer_norm, dtype);
}
const Kernel& rotary_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).rotary, dtype);
}
const Kernel& rotary_kv_write_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).rotary_kv_write, dtype);
}
const Kernel& add_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).add, dtype);
}
const Kernel& mul_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).mul, dtype);
}
const Kernel& silu_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).silu, dtype);
}
const Kernel& gelu_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).gelu, dtype);
}
const Kernel& gelu_tanh_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).gelu_tanh, dtype);
}
const Kernel& scale_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).scale, dtype);
}
const Kernel& silu_mul_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).silu_mul, dtype);
}
const Kernel& gelu_mul_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).gelu_mul, dtype);
}
const Kernel& gelu_tanh_mul_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).gelu_tanh_mul, dtype);
}
const Kernel& gather_rows_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).gather_rows, dtype);
}
const Kernel& kv_write_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).kv_write, dtype);
}
const Kernel& paged_attention_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).paged_attention, dtype);
}
const Kernel& attention_merge_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).attention_merge, dtype);
}
const Kernel& rotary_angles_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).rotary_angles, dtype);
}
const Kernel& log_sum_exp_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).log_sum_exp, dtype);
}
const Kernel& log_softmax_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).log_softmax, dtype);
}
const Kernel& argmax_kernel(Isa isa, DType dtype) {
  return pick(table_of(isa).argmax, dtype);
}

}  // namespace reprise::kernels::cpu

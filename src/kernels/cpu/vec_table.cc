// Which table and which entry of it serves.
#include "kernels/cpu/vec_table.h"

#include "core/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/gather.h"
#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/loop.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/rotary.h"
#include "kernels/cpu/rotary_kv_write.h"
#include "kernels/cpu/softmax.h"

namespace reprise::kernels::cpu {

namespace {

// AMX adds tiles to AVX-512, which none of these kernels uses; its machines multiply pairs of bf16 slower
// than floats.
const VecTable& table_of(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return vec_table_scalar();
    case Isa::avx2:
      return vec_table_avx2();
    case Isa::avx512_bf16:
      return vec_table_avx512_bf16();
    case Isa::avx512:
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
  return kernel;  // of a static table. NOLINT(bugprone-return-const-ref-from-parameter)
}

}  // namespace

#define REPRISE_VEC_PAIR(name, ...)                   \
  const Kernel& name##_kernel(Isa isa, DType dtype) { \
    return pick(table_of(isa).name, dtype);           \
  }
#define REPRISE_VEC_F32 REPRISE_VEC_PAIR
#include "kernels/cpu/vec_kernels.inc"

}  // namespace reprise::kernels::cpu

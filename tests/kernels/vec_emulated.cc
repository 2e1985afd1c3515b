// The kernels at level AVX-512 a second time, its instructions emulated by SIMDe: their logic is tested on
// any machine.
#include "tests/kernels/vec_cases.h"

#if __has_include(<simde/x86/avx512.h>)

#include "tests/kernels/emulated_avx512.h"

#define REPRISE_VEC_NAMESPACE level_emulated
#define REPRISE_VEC_LEVEL 2
#define REPRISE_VEC_NAME "avx512_emulated"
#include "kernels/cpu/vec_table_inl.h"

namespace reprise::kernels::cpu {
const VecTable* vec_table_emulated() {
  return &level_emulated::kTable;
}
}  // namespace reprise::kernels::cpu

#else

namespace reprise::kernels::cpu {
const VecTable* vec_table_emulated() {
  return nullptr;
}
}  // namespace reprise::kernels::cpu

#endif

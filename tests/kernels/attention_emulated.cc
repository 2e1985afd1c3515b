// Attention at level avx512_bf16 with its instructions emulated by SIMDe. Their order of adding the two
// products is SIMDe's own: the bits are not those of the hardware, the contract is the same.
#include "tests/kernels/attention_cases.h"

#if __has_include(<simde/x86/avx512.h>)

#include "tests/kernels/emulated_avx512.h"

#define REPRISE_VEC_NAMESPACE level_dot_emulated
#define REPRISE_VEC_LEVEL 3
#include "kernels/cpu/attention_inl.h"

namespace reprise::kernels::cpu::testing {
const VecTable* attention_table_emulated() {
  static const VecTable table = [] {
    VecTable made = vec_table_scalar();
    made.paged_attention.bf16 = {"paged_attention_bf16_avx512_bf16_emulated",
                                 level_dot_emulated::paged_attention<uint16_t>};
    return made;
  }();
  return &table;
}
}  // namespace reprise::kernels::cpu::testing

#else

namespace reprise::kernels::cpu::testing {
const VecTable* attention_table_emulated() {
  return nullptr;
}
}  // namespace reprise::kernels::cpu::testing

#endif

// The kernels at level AVX-512 a second time, its instructions emulated by SIMDe: their logic is tested on
// any machine.
#include "tests/kernels/vec_cases.h"

#if __has_include(<simde/x86/avx512.h>)

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

// SIMDe lacks these two.
static inline simde__m512i widen_words(simde__m256i words) {
  uint16_t from[16];
  uint32_t to[16];
  __builtin_memcpy(from, &words, sizeof(from));
  for (int i = 0; i < 16; ++i) to[i] = from[i];
  return simde_mm512_loadu_si512(to);
}
static inline simde__m256i narrow_words(simde__m512i lanes) {
  uint32_t from[16];
  uint16_t to[16];
  __builtin_memcpy(from, &lanes, sizeof(from));
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint16_t>(from[i]);
  simde__m256i result;
  __builtin_memcpy(&result, to, sizeof(to));
  return result;
}
#define _mm512_cvtepu16_epi32 widen_words
#define _mm512_cvtepi32_epi16 narrow_words

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

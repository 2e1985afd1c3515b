// The kernels of vec_table.h at level avx512_bf16: of avx512, but that bf16 is rounded by the level's own
// instruction and attention over a bf16 cache multiplies in it. Compiled with the avx512 flags and
// -mavx512bf16.
#define REPRISE_VEC_NAMESPACE level_avx512_bf16
#define REPRISE_VEC_LEVEL 3
#define REPRISE_VEC_NAME "avx512_bf16"
#include "kernels/cpu/vec_table_inl.h"

namespace reprise::kernels::cpu {

const VecTable& vec_table_avx512_bf16() {
  return level_avx512_bf16::kTable;
}

}  // namespace reprise::kernels::cpu

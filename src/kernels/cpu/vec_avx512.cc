// The kernels of vec_table.h at level avx512.
#define REPRISE_VEC_NAMESPACE level_avx512
#define REPRISE_VEC_LEVEL 2
#define REPRISE_VEC_NAME "avx512"
#include "kernels/cpu/vec_table_inl.h"

namespace reprise::kernels::cpu {

const VecTable& vec_table_avx512() {
  return level_avx512::kTable;
}

}  // namespace reprise::kernels::cpu

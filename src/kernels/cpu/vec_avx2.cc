// The kernels of vec_table.h at level avx2.
#define REPRISE_VEC_NAMESPACE level_avx2
#define REPRISE_VEC_LEVEL 1
#define REPRISE_VEC_NAME "avx2"
#include "kernels/cpu/vec_table_inl.h"

namespace reprise::kernels::cpu {

const VecTable& vec_table_avx2() {
  return level_avx2::kTable;
}

}  // namespace reprise::kernels::cpu

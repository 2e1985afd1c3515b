// The kernels of vec_table.h at level scalar.
#define REPRISE_VEC_NAMESPACE level_scalar
#define REPRISE_VEC_LEVEL 0
#define REPRISE_VEC_NAME "scalar"
#include "kernels/cpu/vec_table_inl.h"

namespace reprise::kernels::cpu {

const VecTable& vec_table_scalar() {
  return level_scalar::kTable;
}

}  // namespace reprise::kernels::cpu

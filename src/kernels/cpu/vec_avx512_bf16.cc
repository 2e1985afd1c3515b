// Level avx512_bf16: attention over a bf16 cache is the one kernel of vec_table.h that multiplies bf16.
// Compiled with the avx512 flags and -mavx512bf16.
#define REPRISE_VEC_NAMESPACE level_avx512_bf16
#define REPRISE_VEC_LEVEL 3
#include "kernels/cpu/attention_inl.h"
#include "kernels/cpu/vec_table.h"

namespace reprise::kernels::cpu {

const Kernel kAttentionByPairs = {"paged_attention_bf16_avx512_bf16",
                                  level_avx512_bf16::paged_attention<uint16_t>};

}  // namespace reprise::kernels::cpu

// The avx512_bf16 level of the bf16 matmul. Compiled with the avx512 flags and -mavx512bf16.
#include <immintrin.h>

#include "kernels/cpu/matmul_dot.h"

namespace reprise::kernels::cpu {

void matmul_bf16_avx512_bf16(const MatmulCall& call, int64_t begin, int64_t end) {
  dot_panels(call, begin, end);
}

}  // namespace reprise::kernels::cpu

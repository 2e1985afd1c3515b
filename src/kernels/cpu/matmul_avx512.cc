// The avx512 level of the matmul. Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq.
#include <immintrin.h>

#include "kernels/cpu/matmul_avx512.h"

namespace reprise::kernels::cpu {

void matmul_f32_avx512(const MatmulCall& call, int64_t begin, int64_t end) {
  multiply_panels<Avx512, false>(call, begin, end);
}

void matmul_bf16_avx512(const MatmulCall& call, int64_t begin, int64_t end) {
  multiply_panels<Avx512, true>(call, begin, end);
}

}  // namespace reprise::kernels::cpu

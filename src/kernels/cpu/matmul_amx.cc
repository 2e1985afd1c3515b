// The amx level of the bf16 matmul. Compiled with the avx512 flags (every CPU with tiles has them) and
// -mamx-tile -mamx-bf16.
#include <immintrin.h>

// Not _tile_loadconfig: gcc 12's tells the compiler of 8 of the 64 bytes that the instruction reads.
#define TILE_CONFIGURE(config) asm volatile("ldtilecfg %0" : : "m"(config) : "memory")
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_DOT(sum, a, b) _tile_dpbf16ps(sum, a, b)

#include "kernels/cpu/matmul_tiles.h"

namespace reprise::kernels::cpu {

void matmul_bf16_amx(const MatmulCall& call, int64_t begin, int64_t end) {
  tile_panels(call, begin, end);
}

}  // namespace reprise::kernels::cpu

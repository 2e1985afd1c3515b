#include "tests/kernels/matmul_emulated.h"

#include "tests/kernels/emulated_avx512.h"

#include "kernels/cpu/matmul_avx512.h"
#include "kernels/cpu/matmul_dot.h"

namespace reprise::kernels::cpu::testing {
namespace {

// AMX as measured on hardware: within a block of 32 k two chains of FMAs, over even and over odd k; their sum
// is added to the accumulator.
struct Tiles {
  struct Tile {
    int rows = 0;
    unsigned char data[16][64] = {};
  };
  bool configured = false;
  Tile tiles[8];

  template <typename Config>
  void configure(const Config& config) {
    configured = config.palette == 1;
    for (int t = 0; t < 8; ++t) {
      tiles[t] = Tile{};
      tiles[t].rows = config.rows[t];
      configured = configured && config.row_bytes[t] == 64 && config.rows[t] >= 1 && config.rows[t] <= 16;
    }
  }
  void release() {
    for (Tile& tile : tiles) tile = Tile{};
    configured = false;
  }
  void zero(int t) { __builtin_memset(tiles[t].data, 0, sizeof(tiles[t].data)); }
  void load(int t, const void* from, int64_t stride) {
    zero(t);
    for (int r = 0; r < tiles[t].rows; ++r)
      __builtin_memcpy(tiles[t].data[r], static_cast<const unsigned char*>(from) + r * stride, 64);
  }
  void store(int t, void* to, int64_t stride) const {
    for (int r = 0; r < tiles[t].rows; ++r)
      __builtin_memcpy(static_cast<unsigned char*>(to) + r * stride, tiles[t].data[r], 64);
  }
  static float half(const Tile& tile, int row, int index) {
    uint32_t bits = 0;
    __builtin_memcpy(reinterpret_cast<unsigned char*>(&bits) + 2, tile.data[row] + index * 2, 2);
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
  }
  void dot(int sum, int a, int b) {
    for (int m = 0; m < tiles[sum].rows; ++m)
      for (int n = 0; n < 16; ++n) {
        float chains[2] = {0, 0};
        for (int k = 0; k < 32; ++k)
          chains[k % 2] =
              __builtin_fmaf(half(tiles[a], m, k), half(tiles[b], k / 2, n * 2 + k % 2), chains[k % 2]);
        float value;
        __builtin_memcpy(&value, tiles[sum].data[m] + n * 4, 4);
        value += chains[0] + chains[1];
        __builtin_memcpy(tiles[sum].data[m] + n * 4, &value, 4);
      }
  }
};
thread_local Tiles machine;

}  // namespace
}  // namespace reprise::kernels::cpu::testing

#define TILE_CONFIGURE(config) testing::machine.configure(config)
#define TILE_RELEASE() testing::machine.release()
#define TILE_ZERO(t) testing::machine.zero(t)
#define TILE_LOAD(t, from, stride) testing::machine.load(t, from, stride)
#define TILE_STORE(t, to, stride) testing::machine.store(t, to, stride)
#define TILE_DOT(sum, a, b) testing::machine.dot(sum, a, b)
#include "kernels/cpu/matmul_tiles.h"

namespace reprise::kernels::cpu::testing {

MatmulFunction emulated_matmul(Isa isa, DType dtype) {
  const bool f32 = dtype == DType::f32;
  switch (isa) {
    case Isa::avx512:
      return f32 ? multiply_panels<Avx512, false> : multiply_panels<Avx512, true>;
    case Isa::avx512_bf16:
      return f32 ? nullptr : dot_panels;
    case Isa::amx:
      return f32 ? nullptr : tile_panels;
    default:
      return nullptr;
  }
}

}  // namespace reprise::kernels::cpu::testing

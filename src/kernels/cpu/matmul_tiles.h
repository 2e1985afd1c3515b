// The bf16 matmul by AMX tiles: the body of the amx level. Blocks of 32 rows by 32 columns: two tiles of x,
// two of weights, four of sums, over all of k in one go, so that sums are stored once (a store does not
// overlap with products). Fewer rows are fewer rows of a tile, down to one: the same bits as in a full tile,
// and one code path for decode and prefill. The blocks of k are always taken in ascending order: going back
// and forth would reuse the cache better, yet the order of accumulation would depend on the block.
//
// The includer defines the tile operations: TILE_CONFIGURE(config), TILE_RELEASE(), TILE_ZERO(t),
// TILE_LOAD(t, from, stride), TILE_STORE(t, to, stride), TILE_DOT(sum, a, b), where t is a literal; tests
// define them as an emulation.
#pragma once

#include "kernels/cpu/matmul_call.h"

namespace reprise::kernels::cpu {
namespace {

// Palette 1, which the architecture fixes: 8 tiles of up to 16 rows by 64 bytes.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

// Tiles 0 to 3: sums (upper left, upper right, lower left, lower right); 4, 5: x; 6, 7: weights.
inline void configure_tiles(int upper, int lower) {
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.row_bytes[t] = 64;
    config.rows[t] = 16;
  }
  config.rows[0] = config.rows[1] = config.rows[4] = static_cast<uint8_t>(upper);
  // A tile that isn't used still needs a row.
  config.rows[2] = config.rows[3] = config.rows[5] = static_cast<uint8_t>(lower > 0 ? lower : 1);
  TILE_CONFIGURE(config);
}

// Tiles want whole blocks of k: the last part of each row is copied beside zeros.
struct TileRows {
  const unsigned char* x;     // row 0
  int64_t stride;             // bytes
  int64_t whole_blocks;       // of 32 k, read from x
  const unsigned char* tail;  // row 0 of the copies, 64 bytes for each row; null where k is a multiple of 32
};

inline constexpr int64_t kTileFetchAhead = 6144;  // bytes of weights, into the L2 cache

template <bool kFetch>
inline void fetch_block(const unsigned char* w) {
  if constexpr (kFetch)
    for (int line = 0; line < 32; ++line) __builtin_prefetch(w + kTileFetchAhead + line * 64, 0, 2);
}

// Up to 16 rows.
template <bool kFetch>
void multiply_tiles_upper(const TileRows& rows, const unsigned char* w, float* sums) {
  TILE_ZERO(0);
  TILE_ZERO(1);
  for (int64_t block = 0; block < rows.whole_blocks; ++block, w += 2048) {
    fetch_block<kFetch>(w);
    TILE_LOAD(4, rows.x + block * 64, rows.stride);
    TILE_LOAD(6, w, 64);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(7, w + 1024, 64);
    TILE_DOT(1, 4, 7);
  }
  if (rows.tail != nullptr) {
    TILE_LOAD(4, rows.tail, 64);
    TILE_LOAD(6, w, 64);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(7, w + 1024, 64);
    TILE_DOT(1, 4, 7);
  }
  TILE_STORE(0, sums, kPanel * 4);
  TILE_STORE(1, sums + 16, kPanel * 4);
}

// 17 to 32 rows.
template <bool kFetch>
void multiply_tiles(const TileRows& rows, const unsigned char* w, float* sums) {
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  const unsigned char* lower = rows.x + 16 * rows.stride;
  for (int64_t block = 0; block < rows.whole_blocks; ++block, w += 2048) {
    fetch_block<kFetch>(w);
    TILE_LOAD(4, rows.x + block * 64, rows.stride);
    TILE_LOAD(6, w, 64);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(5, lower + block * 64, rows.stride);
    TILE_DOT(2, 5, 6);
    TILE_LOAD(7, w + 1024, 64);
    TILE_DOT(1, 4, 7);
    TILE_DOT(3, 5, 7);
  }
  if (rows.tail != nullptr) {
    TILE_LOAD(4, rows.tail, 64);
    TILE_LOAD(6, w, 64);
    TILE_DOT(0, 4, 6);
    TILE_LOAD(5, rows.tail + 16 * 64, 64);
    TILE_DOT(2, 5, 6);
    TILE_LOAD(7, w + 1024, 64);
    TILE_DOT(1, 4, 7);
    TILE_DOT(3, 5, 7);
  }
  TILE_STORE(0, sums, kPanel * 4);
  TILE_STORE(1, sums + 16, kPanel * 4);
  TILE_STORE(2, sums + 16 * kPanel, kPanel * 4);
  TILE_STORE(3, sums + 16 * kPanel + 16, kPanel * 4);
}

void tile_panels(const MatmulCall& call, int64_t begin, int64_t end) {
  constexpr int64_t kXBytes = int64_t{1} << 20;  // x of a block of rows: half of an L2 cache
  constexpr int64_t kMostRows = 8192;
  const int64_t k_bytes = call.k * 2;
  const int64_t padded_k = round_up(call.k, kPanel);
  const int64_t whole = call.k / kPanel;
  const bool has_tail = padded_k != call.k;
  const int64_t block_rows = larger(32, smaller(kXBytes / k_bytes, kMostRows) / 32 * 32);

  auto* sums = reinterpret_cast<float*>(call.scratch);  // [32][32]
  unsigned char* tails = call.scratch + 32 * kPanel * 4;
  const auto* x = static_cast<const unsigned char*>(call.x);
  int upper_now = 0;
  int lower_now = 0;
  for (int64_t row0 = 0; row0 < call.rows; row0 += block_rows) {
    const int64_t row_end = smaller(call.rows, row0 + block_rows);
    if (has_tail) {
      for (int64_t r = row0; r < row_end; ++r) {
        unsigned char* tail = tails + (r - row0) * 64;
        const int64_t bytes = k_bytes - whole * 64;
        __builtin_memset(tail, 0, 64);
        __builtin_memcpy(tail, x + r * k_bytes + whole * 64, static_cast<unsigned long>(bytes));
      }
      asm volatile("" ::: "memory");  // the tile loads don't tell the compiler what they read
    }
    for (int64_t index = begin; index < end; ++index) {
      const Panel panel = find_panel(call, index, padded_k * kPanel * 2);
      for (int64_t r = row0; r < row_end; r += 32) {
        const int64_t count = smaller(32, row_end - r);
        const int upper = static_cast<int>(smaller(16, count));
        const int lower = static_cast<int>(count) - upper;
        if (upper != upper_now || lower != lower_now) {
          configure_tiles(upper, lower);
          upper_now = upper;
          lower_now = lower;
        }
        const TileRows rows{.x = x + r * k_bytes,
                            .stride = k_bytes,
                            .whole_blocks = whole,
                            .tail = has_tail ? tails + (r - row0) * 64 : nullptr};
        const bool first = r == row0;  // later blocks of rows find the weights in the cache
        if (lower == 0) {
          if (first)
            multiply_tiles_upper<true>(rows, panel.weights, sums);
          else
            multiply_tiles_upper<false>(rows, panel.weights, sums);
        } else {
          if (first)
            multiply_tiles<true>(rows, panel.weights, sums);
          else
            multiply_tiles<false>(rows, panel.weights, sums);
        }
        store_panel(panel, call.bf16_out, sums, r, count);
      }
    }
  }
  TILE_RELEASE();
}

}  // namespace
}  // namespace reprise::kernels::cpu

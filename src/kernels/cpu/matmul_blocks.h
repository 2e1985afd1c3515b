// The work items of a matmul: for each block of rows its panels, or other parts of its columns, one after the other.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/launch.h"

namespace reprise::kernels::cpu {

constexpr int64_t divide_up(int64_t value, int64_t by) {
  return (value + by - 1) / by;
}

// 0: one block of all rows.
inline int64_t rows_per_block_of(const LaunchDims& dims) {
  return dims.rows_per_block == 1 ? 0 : dims.rows_per_block;
}

// Calls body(row0, row1, first, stop) for what the items [begin, end) have of each block: its rows [row0, row1) and its
// items [first, stop) of `items`. `rows_per_block`: at most; 0: one block of all rows.
template <typename Body>
void for_blocks_of_rows(int64_t rows, int64_t rows_per_block, int64_t items, int64_t begin, int64_t end,
                        Body body) {
  if (rows_per_block == 0 || rows <= rows_per_block) return body(0, rows, begin, end);  // divisions take time
  const int64_t blocks = divide_up(rows, rows_per_block);
  while (begin < end) {
    const int64_t block = begin / items, first = block * items;
    const int64_t stop = std::min(end, first + items);
    body(block * rows / blocks, (block + 1) * rows / blocks, begin - first, stop - first);
    begin = stop;
  }
}

}  // namespace reprise::kernels::cpu

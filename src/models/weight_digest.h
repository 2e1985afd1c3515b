// A digest of the numbers of all weights, by which one checkpoint is told from another: xxHash (XXH3, 64 bits), which finds
// what differs by accident, not what an opponent prepared. Rows may be read in any order by any thread, and by any number
// of ranks: the digests of rows add up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace reprise::models {

// Of `rows` rows that lie one behind the other, the first of them number `first` in its tensor.
uint64_t digest_of_rows(const std::byte* data, size_t row_bytes, int64_t first, int64_t rows);

// `before` with a tensor behind it, whose rows add up to `rows`. Begin with 0.
uint64_t digest_with(uint64_t before, std::string_view tensor, uint64_t rows);

}  // namespace reprise::models

#include "models/weight_digest.h"

#include <xxhash.h>

#include <array>

namespace reprise::models {

uint64_t digest_of_rows(const std::byte* data, size_t row_bytes, int64_t first, int64_t rows) {
  uint64_t sum = 0;
  for (int64_t row = 0; row < rows; ++row) {
    // With the row's number, so that rows which change places do not give the same sum.
    const std::array<uint64_t, 2> of_row = {
        XXH3_64bits(data + static_cast<size_t>(row) * row_bytes, row_bytes),
        static_cast<uint64_t>(first + row)};
    sum += XXH3_64bits(of_row.data(), sizeof of_row);
  }
  return sum;
}

uint64_t digest_with(uint64_t before, std::string_view tensor, uint64_t rows) {
  const std::array<uint64_t, 3> of_all = {before, XXH3_64bits(tensor.data(), tensor.size()), rows};
  return XXH3_64bits(of_all.data(), sizeof of_all);
}

}  // namespace reprise::models

#include "core/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace reprise {
namespace {

constexpr size_t kLongestName = 256;  // a longer one is no slip of the finger; the work is the product

size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);  // edits from the first i letters of a to the first j of b
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names) {
  if (name.size() > kLongestName) return {};
  std::string_view best;
  size_t fewest = 0;
  for (const std::string_view candidate : names) {
    const size_t count = edits(name, candidate);
    if (count > std::max(name.size(), candidate.size()) / 3) continue;
    if (best.empty() || count < fewest) {
      best = candidate;
      fewest = count;
    }
  }
  return best;
}

}  // namespace reprise

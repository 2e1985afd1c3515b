#include "client/load/lengths.h"

#include <algorithm>
#include <cmath>

#include "client/load/random_numbers.h"

namespace reprise::client {
namespace {

constexpr double kLeast = 4, kMost = 1024;

int64_t length(RandomNumbers& random, double median, double sigma) {
  return std::llround(std::clamp(median * std::exp(sigma * random.normal()), kLeast, kMost));
}

}  // namespace

std::vector<RequestLengths> conversation_lengths(size_t count, uint64_t seed, int64_t most_in_all) {
  RandomNumbers random(seed);
  std::vector<RequestLengths> list(count);
  for (RequestLengths& lengths : list) {
    lengths.input = length(random, 90, 1.3);
    lengths.output = length(random, 110, 1.1);
    if (most_in_all <= 0) continue;
    lengths.input = std::min(lengths.input, std::max<int64_t>(1, most_in_all / 2));
    lengths.output = std::min(lengths.output, std::max<int64_t>(1, most_in_all - lengths.input));
  }
  return list;
}

std::vector<RequestLengths> uniform_lengths(size_t count, uint64_t seed, int64_t least, int64_t most,
                                            int64_t output) {
  RandomNumbers random(seed);
  std::vector<RequestLengths> list(count);
  for (RequestLengths& lengths : list)
    lengths = {least + static_cast<int64_t>(random.below(static_cast<uint64_t>(most - least + 1))), output};
  return list;
}

}  // namespace reprise::client

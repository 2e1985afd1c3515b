// Prompts of a file in ShareGPT's form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace reprise::client {

struct DatasetPair {
  std::string prompt;  // the first turn of a person
  std::string answer;  // what was answered
};

// `path`: a JSON list of {"conversations": [{"from": "human", "value": ".."}, {"from": "gpt", "value": ".."}, ..]},
// of which `count` are drawn by the seed, in random order; of those that begin with both turns and have no more than
// 16 KiB in each. Fewer where the file has fewer. Throws Error with the path, and where the file has none.
std::vector<DatasetPair> read_dataset(const std::string& path, size_t count, uint64_t seed);

}  // namespace reprise::client

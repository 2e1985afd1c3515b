// Random weights, which `--load-choices dummy` loads: speed can be measured with a config.json alone.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "weights/checkpoint.h"

namespace reprise::weights {

// Deterministic random numbers: a value depends only on the seed, the tensor's name, its row and its column,
// so any row can be made in any order on any thread. Matrices are uniform with variance 1 / columns, norm
// weights (names ending in "norm.weight") lie within 0.1 of 1, biases within 0.02 of 0.
class DummyCheckpoint : public Checkpoint {
 public:
  explicit DummyCheckpoint(std::vector<std::pair<std::string, std::vector<int64_t>>> tensors,
                           uint64_t seed = 0);

  bool has(std::string_view name) const override { return tensors_.find(name) != tensors_.end(); }
  const TensorInfo& info(std::string_view name) const override;
  std::vector<std::string> names() const override;
  void read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const override;
  const std::byte* row_bytes(std::string_view, int64_t) const override { return nullptr; }
  std::optional<std::span<const std::byte>> raw(std::string_view) const override { return std::nullopt; }
  void release(std::string_view) const override {}
  std::string description() const override { return "random weights"; }

 private:
  uint64_t seed_;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
};

}  // namespace reprise::weights

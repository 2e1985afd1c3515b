// From a checkpoint's tensors to the ones that kernels read: matrices packed, vectors as f32. All threads of
// the team read and pack; a tensor's source pages are released once it is packed, so that a load needs little
// more memory than the packed weights.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "core/thread_team.h"
#include "models/model.h"
#include "weights/checkpoint.h"

namespace reprise::models {

class WeightLoader {
 public:
  // `source` null: nothing is read, tensors are only sized and noted in requested() (plans, random weights).
  WeightLoader(const weights::Checkpoint* source, HeapStore& store, ThreadTeam& team, DType dtype)
      : source_(source), store_(store), team_(team), dtype_(dtype) {}

  // Packed [n, k] of the compute dtype. Throws Error when the checkpoint lacks it or has another shape.
  Tensor matrix(const std::string& name, int64_t n, int64_t k);
  // f32 [n].
  Tensor vector(const std::string& name, int64_t n);
  // f32 [n] that the host computed.
  Tensor constant(const std::string& name, const std::vector<float>& values);

  DType dtype() const { return dtype_; }
  // Names of the tensors handed out so far, by their buffers.
  WeightNames names() const { return names_; }
  // Names and shapes asked for so far.
  const std::vector<std::pair<std::string, std::vector<int64_t>>>& requested() const { return requested_; }

 private:
  const weights::Checkpoint* source_;
  HeapStore& store_;
  ThreadTeam& team_;
  DType dtype_;
  WeightNames names_;
  std::vector<std::pair<std::string, std::vector<int64_t>>> requested_;
};

}  // namespace reprise::models

// Loads the tensors of a checkpoint in the form that kernels read: matrices packed, vectors as f32. All
// threads of the team read and pack. The source pages of a tensor are released once it is packed, so that a
// load needs little more memory than the packed weights.
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
  // `source`, `store` and `team` must outlive the loader. `source` null: nothing is read, tensors are only
  // sized and noted in requested() (plans, random weights). Functions that load throw Error for what the
  // checkpoint lacks or has in another shape or in a type that cannot be read, and std::bad_alloc; what was
  // loaded before stays in the store.
  WeightLoader(const weights::Checkpoint* source, HeapStore& store, ThreadTeam& team, DType dtype)
      : source_(source), store_(store), team_(team), dtype_(dtype) {}

  // Packed [n, k] of the compute dtype.
  Tensor matrix(const std::string& name, int64_t n, int64_t k);
  // f32 [n].
  Tensor vector(const std::string& name, int64_t n);
  // The one matrix, packed [n, k], of an embedding and an output head that are tied; it may be stored under
  // either name. Throws Error when the checkpoint contradicts that: both are stored and differ.
  Tensor tied_matrix(const std::string& embedding, const std::string& head, int64_t n, int64_t k);
  // The matrix of an output head that is not tied, with an error of its own where it is missing.
  Tensor head_matrix(const std::string& head, int64_t n, int64_t k);
  // f32 [n] that the host computed.
  Tensor constant(const std::string& name, const std::vector<float>& values);

  DType dtype() const { return dtype_; }
  // Names of the tensors returned so far, by their buffers.
  WeightNames names() const { return names_; }
  // Names and shapes asked for so far.
  const std::vector<std::pair<std::string, std::vector<int64_t>>>& requested() const { return requested_; }

 private:
  // `stored`: the name in the checkpoint, where it differs from the one asked for.
  Tensor load_matrix(const std::string& name, const std::string& stored, int64_t n, int64_t k);

  const weights::Checkpoint* source_;
  HeapStore& store_;
  ThreadTeam& team_;
  DType dtype_;
  WeightNames names_;
  std::vector<std::pair<std::string, std::vector<int64_t>>> requested_;
};

}  // namespace reprise::models

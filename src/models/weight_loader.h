// Loads the tensors of a checkpoint in the form that kernels read: matrices packed, alone or as a stack of
// experts, vectors as f32. Where several ranks share a matrix, each reads and packs its own rows. All
// threads of the team read and pack. The source pages of a tensor are released once it is packed, so that a
// load needs little more memory than the packed weights.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "core/thread_team.h"
#include "core/weight_packer.h"
#include "models/model.h"
#include "weights/checkpoint.h"

namespace reprise::models {

// Which of the ranks that share the weights a loader works for: 0 <= rank < world.
struct Shard {
  int rank = 0;
  int world = 1;
};

// What of a matrix a rank takes.
enum class Split : uint8_t {
  none,  // all of it
  rows,  // whole panels, in the order of the ranks; the first ranks take one more where they don't divide
};

class WeightLoader {
 public:
  // `source`, `store`, `packer` and `team` must outlive the loader. `source` null: nothing is read, tensors
  // are only sized and noted in requested() (plans, random weights). Functions that load throw Error for
  // what the checkpoint lacks or has in another shape or in a type that cannot be read, and std::bad_alloc;
  // what was loaded before stays in the store. The constructor throws Error for a shard that can't be, and
  // as WeightPacker::packing_of() does.
  WeightLoader(const weights::Checkpoint* source, HeapStore& store, const WeightPacker& packer,
               ThreadTeam& team, DType dtype, Shard shard = {});

  // Packed [n, k] of the compute dtype, n and k those of the checkpoint; with Split::rows, this rank's
  // rows. The packed bytes of the ranks, one behind the other, are those of the whole. Throws Error where a
  // rank would be left without a panel.
  Tensor matrix(const std::string& name, int64_t n, int64_t k, Split split = Split::none);
  // Matrices [n, k] of the names, at least one, as one packed tensor [names, n, k].
  Tensor matrices(std::span<const std::string> names, int64_t n, int64_t k);
  // The same from one tensor [experts, n, k] of the checkpoint.
  Tensor matrices(const std::string& name, int64_t experts, int64_t n, int64_t k);
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
  // Names of the tensors returned so far, by their buffers; of a stack of names the first and how many more
  // there are, "experts.0.up_proj.weight+7".
  WeightNames names() const { return names_; }
  // Of the numbers of all tensors returned so far, as the checkpoint has them, names and order included; in whatever
  // files they are. Where ranks share a matrix: of this rank's rows.
  uint64_t digest() const { return digest_; }
  // Names and shapes asked for so far.
  const std::vector<std::pair<std::string, std::vector<int64_t>>>& requested() const { return requested_; }

 private:
  struct Source {
    std::string stored;     // name in the checkpoint
    int64_t first_row = 0;  // of the matrix in it
  };
  // The matrices of `shape`, [N, K] or a stack, from `sources`, which are as many. Shapes were checked.
  Tensor pack(const std::string& name, const Shape& shape, std::span<const Source> sources);
  // `stored`: the name in the checkpoint, where it differs from the one asked for.
  Tensor load_matrix(const std::string& name, const std::string& stored, int64_t n, int64_t k,
                     Split split = Split::none);

  const weights::Checkpoint* source_;
  HeapStore& store_;
  const WeightPacker& packer_;
  ThreadTeam& team_;
  DType dtype_;
  Packing packing_;
  Shard shard_;
  WeightNames names_;
  uint64_t digest_ = 0;
  std::vector<std::pair<std::string, std::vector<int64_t>>> requested_;
};

}  // namespace reprise::models

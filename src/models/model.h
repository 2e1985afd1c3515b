// The interface of a model to the engine: a function from the inputs of a step to hidden states and to the
// logits of chosen rows. The code of a model calls ops only and depends on neither graphs nor the engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"
#include "weights/model_config.h"

namespace reprise::models {

// The paged KV cache as a step sees it. Layout of a block: core/kv_layout.h.
struct KvLayer {
  Tensor keys;    // state, [blocks, kv_block_elements]
  Tensor values;  // state, same
};

struct PagedKvView {
  std::vector<KvLayer> layers;
  int64_t block_size = 64;         // positions per block, a multiple of 16
  int64_t max_blocks_per_seq = 0;  // columns of the block tables
  int64_t max_model_len = 0;       // positions a sequence may have
  int64_t partition_size = 2048;   // keys per attention partition
};

// Inputs of one step; T tokens of S sequences, R of them read. All are persistent buffers (BufferKind::input
// or state), so that a recording may name them. Rows beyond the real tokens (padding) have id 0, position 0,
// slot 0 (block 0, the null block, belongs to nobody) and sequence -1.
struct ForwardInput {
  Tensor token_ids;     // [T] i32
  Tensor positions;     // [T] i32, 0-based in the sequence
  Tensor rope_lengths;  // [T] i32, max(prompt length, position + 1): what dynamic rotary scaling depends on
  Tensor slots;         // [T] i32, block * block_size + offset in the block
  Tensor seq_of_token;  // [T] i32, row of block_tables
  Tensor block_tables;  // [S, max_blocks_per_seq] i32
  Tensor logit_rows;    // [R] i32, tokens whose logits are read (the last of each sequence)
  const PagedKvView* kv = nullptr;
};

struct ForwardOutput {
  Tensor hidden;  // [T, hidden_size], activation dtype, after the last norm
  Tensor logits;  // [R, vocab_size] f32
};

// Names of weights in the checkpoint, for reports.
using WeightNames = std::unordered_map<const Buffer*, std::string>;

class Model {
 public:
  virtual ~Model() = default;
  // Called with a dispatcher installed (ops/op.h). Pure but for the KV cache.
  virtual ForwardOutput forward(const ForwardInput& input) const = 0;
  // Logits [R, vocab_size] f32 of chosen rows [R] of `hidden`: prompt log-probabilities, chunk by chunk.
  virtual Tensor logits(const Tensor& hidden, const Tensor& rows) const = 0;

  const weights::ModelConfig& config() const { return config_; }
  DType dtype() const { return dtype_; }  // of activations, weights and KV cache

  // The store that the weights live in, the checkpoint's names of them, and a digest of their numbers
  // (weight_digest.h).
  void own(std::unique_ptr<HeapStore> weights, WeightNames names, uint64_t digest) {
    weights_ = std::move(weights);
    names_ = std::move(names);
    digest_ = digest;
  }
  // Name of a weight in the checkpoint; "" where it has none.
  std::string weight_name(const Tensor& weight) const {
    const auto found = names_.find(weight.buffer.get());
    return found == names_.end() ? std::string() : found->second;
  }
  size_t weight_bytes() const { return weights_ ? weights_->bytes() : 0; }
  uint64_t weight_digest() const { return digest_; }

 protected:
  Model(const weights::ModelConfig& config, DType dtype) : config_(config), dtype_(dtype) {}

 private:
  weights::ModelConfig config_;
  DType dtype_;
  WeightNames names_;
  uint64_t digest_ = 0;
  std::unique_ptr<HeapStore> weights_;  // outlives the tensors of derived classes
};

}  // namespace reprise::models

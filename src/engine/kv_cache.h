// The paged KV cache: how many blocks there are and the tensors that they lie in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/arena.h"
#include "core/error.h"
#include "engine/engine_config.h"
#include "models/model.h"

namespace reprise::engine {

// Bytes of one block over all layers, keys and values.
size_t kv_block_bytes(const weights::ModelConfig& model, DType dtype, int64_t block_size);

int64_t blocks_per_sequence(const EngineConfig& config);  // of max_model_len positions

// The memory doesn't hold what one sequence needs.
class DoesNotFit final : public Error {
 public:
  using Error::Error;
};

// Blocks for sequences: the override; else what kv_cache_memory holds; else memory_utilization of `memory`
// bytes less `reserved` (weights, arena and all else that is not KV cache). Never more than max_num_seqs
// sequences of max_model_len can use. Throws Error where a size holds not one block, and DoesNotFit where,
// without an override and a size, not one sequence of max_model_len fits.
int64_t choose_kv_blocks(const EngineConfig& config, size_t block_bytes, size_t memory, size_t reserved);

class KvCache {
 public:
  // The geometry, over the null block alone: enough to trace a model and to size everything else.
  KvCache(const weights::ModelConfig& model, DType dtype, const EngineConfig& config);

  // Tensors of `blocks` blocks for sequences; the null block comes on top. `dry`: no memory, only its size.
  // Throws Error where there are more slots than ids for them.
  void allocate(int64_t blocks, bool dry = false);

  const models::PagedKvView& view() const { return view_; }  // stays where it is
  size_t bytes() const { return store_->bytes(); }
  void touch() { store_->touch(); }

 private:
  DType dtype_;
  int64_t block_elements_;
  std::unique_ptr<HeapStore> outline_;  // of the null block alone: graphs traced with it refer to it
  std::unique_ptr<HeapStore> store_;
  models::PagedKvView view_;
};

}  // namespace reprise::engine

// The paged KV cache: how many blocks fit into memory, and the tensors that hold keys and values of all
// blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/arena.h"
#include "core/error.h"
#include "engine/config/engine_config.h"
#include "models/model.h"

namespace reprise::engine {

// Bytes of one block over all layers, keys and values.
size_t kv_block_bytes(const weights::ModelConfig& model, DType dtype, int64_t block_size);

int64_t blocks_per_sequence(const EngineConfig& config);  // of max_model_len positions

// Blocks for sequences: the override; else what kv_cache_memory holds; else memory_utilization of `memory`
// bytes less `reserved` (weights, arena and all else that is not KV cache), where each block takes
// `beside_block` bytes of other memory. Never more than max_num_seqs sequences of max_model_len can use, unless
// kv_cache_memory says so and the rest is of use to the prefix cache.
// Throws Error where a size holds not one block, and one with does_not_fit where, without an override and a size,
// not one sequence of max_model_len fits.
int64_t choose_kv_blocks(const EngineConfig& config, size_t block_bytes, size_t beside_block, size_t memory,
                         size_t reserved);

class KvStore {
 public:
  // With the null block alone: enough to trace a model and to find the size of everything else, on which
  // the number of blocks depends. `config` is resolved. Thread of the engine only.
  KvStore(MemorySpace& memory, const weights::ModelConfig& model, DType dtype, const EngineConfig& config);

  // Replaces the tensors by those of `blocks` blocks for sequences and the null block. `dry`: takes no
  // memory, only bytes() is right. Throws Error where slot numbers would not fit into an int32 or memory
  // is refused; the old tensors are still there then. To be called once.
  void allocate(int64_t blocks, bool dry = false);

  const models::PagedKvView& view() const { return view_; }  // its address never changes
  size_t bytes() const { return store_->bytes(); }
  void touch() { store_->touch(); }
  // Gives the memory back to the system until blocks are used again: no sequence may hold one.
  void discard() noexcept { store_->discard(); }

 private:
  MemorySpace* memory_;
  DType dtype_;
  int64_t block_elements_;
  std::unique_ptr<HeapStore> outline_;  // the first tensors, to which traced graphs refer
  std::unique_ptr<HeapStore> store_;
  models::PagedKvView view_;
};

}  // namespace reprise::engine

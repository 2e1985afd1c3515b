#include "engine/kv/kv_store.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/kv_layout.h"

namespace reprise::engine {
int64_t blocks_per_sequence(const EngineConfig& config) {
  return (config.max_model_len + config.block_size - 1) / config.block_size;
}

size_t kv_block_bytes(const weights::ModelConfig& model, DType dtype, int64_t block_size) {
  return 2 * static_cast<size_t>(model.num_layers) * size_of(dtype) *
         static_cast<size_t>(kv_block_elements(dtype, model.num_kv_heads, model.head_dim, block_size));
}

int64_t choose_kv_blocks(const EngineConfig& config, size_t block_bytes, size_t beside_block, size_t memory,
                         size_t reserved) {
  if (config.num_gpu_blocks_override.has_value()) return *config.num_gpu_blocks_override;
  const int64_t useful = config.max_num_seqs * blocks_per_sequence(config);
  if (config.kv_cache_memory.has_value()) {
    const auto fitting = static_cast<int64_t>(*config.kv_cache_memory / block_bytes) - 1;
    if (fitting < 1)
      throw Error("[kv cache] --kv-cache-memory is {} bytes, two blocks take {}; give it more",
                  *config.kv_cache_memory, 2 * block_bytes);
    // What sequences don't use keeps beginnings of prompts.
    return config.enable_prefix_caching ? fitting : std::min(fitting, useful);
  }
  const auto share = static_cast<size_t>(static_cast<double>(memory) * config.memory_utilization);
  const size_t room = share > reserved ? share - reserved : 0;
  const int64_t fitting = static_cast<int64_t>(room / (block_bytes + beside_block)) - 1;
  if (fitting < blocks_per_sequence(config))
    throw Error(ErrorCode::does_not_fit,
                "[kv cache] one sequence of {} tokens takes {} bytes, {} are free for the cache beside {} of "
                "weights, arena and all else",
                config.max_model_len,
                static_cast<size_t>(blocks_per_sequence(config) + 1) * (block_bytes + beside_block), room,
                reserved);
  return std::min(fitting, useful);
}

KvStore::KvStore(MemorySpace& memory, const weights::ModelConfig& model, DType dtype,
                 const EngineConfig& config)
    : memory_(&memory),
      dtype_(dtype),
      block_elements_(kv_block_elements(dtype, model.num_kv_heads, model.head_dim, config.block_size)) {
  view_.block_size = config.block_size;
  view_.max_blocks_per_seq = blocks_per_sequence(config);
  view_.max_model_len = config.max_model_len;
  view_.partition_size = config.max_partition_size;
  view_.layers.resize(static_cast<size_t>(model.num_layers));
  allocate(0);
}

void KvStore::allocate(int64_t blocks, bool dry) {
  if ((blocks + 1) * view_.block_size > std::numeric_limits<int32_t>::max())
    throw Error("[kv cache] {} blocks of {} positions are more than 2^31 slots; use fewer", blocks,
                view_.block_size);
  auto store = dry ? std::make_unique<HeapStore>(BufferKind::state, kDry)
                   : std::make_unique<HeapStore>(BufferKind::state, *memory_);
  const Shape shape{blocks + 1, block_elements_};
  // All tensors before one is seen outside: where memory is refused half way, they go away with their store.
  std::vector<models::KvLayer> layers(view_.layers.size());
  for (models::KvLayer& layer : layers)
    layer = {.keys = store->allocate(dtype_, shape), .values = store->allocate(dtype_, shape)};
  view_.layers.swap(layers);
  if (outline_ == nullptr) outline_ = std::move(store_);
  store_ = std::move(store);
}

}  // namespace reprise::engine

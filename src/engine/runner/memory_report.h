// Bytes by what they are used for: predicted by a plan, or held by the allocators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace reprise::engine {

struct MemoryReport {
  size_t weights_bytes = 0;       // packed, and what constant folding added
  size_t workspace_bytes = 0;     // scratch memory of the workers
  size_t input_buffer_bytes = 0;  // persistent step inputs and sampler state
  size_t arena_bytes = 0;         // intermediates of a step; captures share it, or the sum of private ones
  size_t graph_object_bytes = 0;  // recordings and what replays them
  size_t kv_block_bytes = 0;      // of one block over all layers, keys and values
  int64_t num_kv_blocks = 0;      // that sequences can use; the null block comes on top
  size_t kv_bytes = 0;            // the whole cache, null block included
  size_t prefix_cache_bytes = 0;  // which tokens each block holds

  size_t total() const {
    return weights_bytes + workspace_bytes + input_buffer_bytes + arena_bytes + graph_object_bytes +
           kv_bytes + prefix_cache_bytes;
  }
  bool operator==(const MemoryReport&) const = default;
};

// The parts of total(), for tables.
struct MemoryCategory {
  std::string_view name;
  std::string_view from;  // what it comes from, for people
  size_t MemoryReport::*bytes;
};

inline std::span<const MemoryCategory> memory_categories() {
  static constexpr MemoryCategory kCategories[] = {
      {"weights", "packed, by dtype; and what constant folding added", &MemoryReport::weights_bytes},
      {"workspace", "scratch memory of each thread", &MemoryReport::workspace_bytes},
      {"input buffers", "a step's inputs and the sampler's state at --max-num-seqs, --max-num-batched-tokens",
       &MemoryReport::input_buffer_bytes},
      {"arena", "intermediates of the largest step; captures share it", &MemoryReport::arena_bytes},
      {"graph objects", "recordings and what replays them", &MemoryReport::graph_object_bytes},
      {"KV cache", "blocks of --block-size positions, and the null block", &MemoryReport::kv_bytes},
      {"prefix cache", "which tokens each KV block holds", &MemoryReport::prefix_cache_bytes}};
  return kCategories;
}

}  // namespace reprise::engine

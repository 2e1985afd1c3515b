// Settings of an engine, by the names of the command line (docs of the flags: README).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/config/graph_config.h"

namespace reprise::engine {

struct EngineConfig {
  int64_t max_model_len = 2048;  // positions a sequence may have, prompt and output
  int64_t max_num_seqs = 8;      // sequences in a step, [1, 4096]
  // Tokens in a step. Absent: device_batched_tokens, but at least a token a sequence and, where prompts aren't
  // chunked, max_model_len.
  std::optional<int64_t> max_num_batched_tokens = {};
  int64_t device_batched_tokens = 512;  // what suits the device, so that one prompt does not hold all streams
  bool enable_chunked_prefill = true;
  double target_itl_s =
      0;  // that a step beside running decodes may take; prompts are cut for it. 0: any time
  int64_t max_num_partial_prefills = 1;   // prompts in the middle of their prefill at a time
  int64_t max_long_partial_prefills = 1;  // of these, long ones
  std::optional<int64_t> long_prefill_token_threshold = {};  // longer is long; absent: 4 % of max_model_len
  int64_t block_size = 64;                                   // positions per KV block, a multiple of 16
  bool enable_prefix_caching = true;                         // full KV blocks are kept and shared
  std::optional<int64_t> num_gpu_blocks_override = {};       // KV blocks, wins over kv_cache_memory
  std::optional<size_t> kv_cache_memory = {};                // bytes
  double memory_utilization = 0.9;                           // of what is free, where neither is given
  // Keys per attention partition. Bits of sequences that are longer depend on it.
  int64_t max_partition_size = 2048;
  int32_t max_logprobs = 20;  // -1: the whole vocabulary
  uint64_t seed = 0;
  std::vector<int32_t> eos_token_ids = {};  // end an output unless ignore_eos
  GraphConfig graph = {};

  // Copy with every optional of the schedule filled in. Throws Error that names flag, value and range.
  EngineConfig resolved() const;
  GraphLimits graph_limits(const GraphCapabilities& can) const;  // of a resolved config, for resolve_graph()
};

// `asked` (0: not given), else FLAGS_max_partition_size of the environment, else EngineConfig's default.
// Throws Error when the variable is no positive number, or differs from what was asked.
int64_t choose_max_partition_size(int64_t asked);

}  // namespace reprise::engine

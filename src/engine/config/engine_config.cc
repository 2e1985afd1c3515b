#include "engine/config/engine_config.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/kv_layout.h"

namespace reprise::engine {
namespace {

void require(bool in_range, std::string_view flag, int64_t value, std::string_view range) {
  if (!in_range)
    throw Error("[config] --{} is {}, expected {}; choose a value in that range", flag, value, range);
}

constexpr int64_t kMost = int64_t{1} << 24;  // positions or tokens: ids of slots stay within 32 bits

}  // namespace

EngineConfig EngineConfig::resolved() const {
  EngineConfig out = *this;
  require(max_model_len >= 1 && max_model_len <= kMost, "max-model-len", max_model_len, "1 to 16777216");
  require(max_num_seqs >= 1 && max_num_seqs <= 4096, "max-num-seqs", max_num_seqs, "1 to 4096");
  require(block_size >= 16 && block_size <= 1024 && block_size % 16 == 0, "block-size", block_size,
          "a multiple of 16, at most 1024");
  if (!out.max_num_batched_tokens.has_value())
    out.max_num_batched_tokens =
        std::max({device_batched_tokens, max_num_seqs, enable_chunked_prefill ? 0 : max_model_len});
  // A step can't hold more than all sequences at full length: what is beyond would only enlarge the arena.
  const int64_t useful = std::max(max_num_seqs, std::min(max_num_seqs * max_model_len, kMost));
  out.max_num_batched_tokens = std::min(*out.max_num_batched_tokens, useful);
  require(*out.max_num_batched_tokens >= max_num_seqs, "max-num-batched-tokens", *out.max_num_batched_tokens,
          "at least --max-num-seqs, one token a sequence");
  if (!enable_chunked_prefill && *out.max_num_batched_tokens < max_model_len)
    throw Error(
        "[config] --max-num-batched-tokens is {}, less than --max-model-len {}, while prompts are not "
        "chunked; raise it or enable chunked prefill",
        *out.max_num_batched_tokens, max_model_len);
  if (!(target_itl_s >= 0) || (target_itl_s > 0 && !enable_chunked_prefill))
    throw Error(
        "[config] --target-itl-ms is {}, expected 0 or more, and 0 where prompts are not chunked: it cuts them into "
        "smaller pieces",
        target_itl_s * 1000);
  require(max_num_partial_prefills >= 1, "max-num-partial-prefills", max_num_partial_prefills, "1 or more");
  require(max_long_partial_prefills >= 1 && max_long_partial_prefills <= max_num_partial_prefills,
          "max-long-partial-prefills", max_long_partial_prefills, "1 to --max-num-partial-prefills");
  if (!out.long_prefill_token_threshold.has_value())
    out.long_prefill_token_threshold = std::max<int64_t>(1, max_model_len / 25);
  require(*out.long_prefill_token_threshold >= 1 && *out.long_prefill_token_threshold <= max_model_len,
          "long-prefill-token-threshold", *out.long_prefill_token_threshold, "1 to --max-model-len");
  if (num_gpu_blocks_override.has_value())
    require(*num_gpu_blocks_override >= 1 && *num_gpu_blocks_override <= kMost, "num-gpu-blocks-override",
            *num_gpu_blocks_override, "1 to 16777216");
  if (!(memory_utilization > 0 && memory_utilization <= 1))
    throw Error(
        "[config] --gpu-memory-utilization is {}, expected more than 0, at most 1; the default is 0.9",
        memory_utilization);
  require(max_partition_size >= 1 && max_partition_size % kAttentionTile == 0, "max-partition-size",
          max_partition_size, "a positive multiple of 64");
  require(max_logprobs >= -1, "max-logprobs", max_logprobs, "0 or more, or -1 for the whole vocabulary");
  return out;
}

GraphLimits EngineConfig::graph_limits(const GraphCapabilities& can) const {
  return {.max_num_seqs = max_num_seqs, .max_num_batched_tokens = *max_num_batched_tokens, .can = can};
}

int64_t choose_max_partition_size(int64_t asked) {
  const char* text = std::getenv("FLAGS_max_partition_size");
  if (text == nullptr) return asked != 0 ? asked : EngineConfig{}.max_partition_size;
  const std::string_view view(text);
  int64_t value = 0;
  const auto [end, status] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (status != std::errc{} || end != view.data() + view.size() || value < 1)
    throw Error("[config] FLAGS_max_partition_size is '{}', expected a positive number; correct or unset it",
                text);
  if (asked != 0 && asked != value)
    throw Error("[config] --max-partition-size {} contradicts FLAGS_max_partition_size={}; keep one of them",
                asked, text);
  return value;
}

}  // namespace reprise::engine

#include "kernels/cpu/attention.h"

#include "loop/attention.h"

namespace reprise::kernels::cpu {

int64_t attention_workspace_bytes(const AttentionScalars& s) {
  return s.split_tokens * s.heads * s.partitions * (s.head_dim + 2) * static_cast<int64_t>(sizeof(float));
}

// Both number pairs alike, and whoever gets a range does all of it, so that a launch in whose middle the code appears
// computes each pair once.
void coded_attention(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& s = context.get_scalars<AttentionScalars>();
  const AttentionCode& code = *s.code;
  const KernelFunction generated = code.generated.load(std::memory_order_acquire);
  const int64_t tokens = context.sizes.tokens, parts = attention_parts(s);
  // The item of a pair's first partition stands for all of them.
  const int64_t first = (begin + parts - 1) / parts, last = (end + parts - 1) / parts;
  const int64_t first_whole = (first + code.sets - 1) / code.sets, last_whole = last / code.sets;
  if (generated == nullptr || tokens != context.sizes.seqs || tokens <= s.split_tokens ||
      first_whole >= last_whole)
    return code.by_hand(context, begin, end);
  if (first < first_whole * code.sets) code.by_hand(context, first * parts, first_whole * code.sets * parts);
  constexpr int64_t kOnePartition = int64_t{1} << 40;
  const loop::AttentionSettings settings{
      .max_blocks = s.max_blocks,
      .partition_size = s.partitions > 1 ? s.partition_size : kOnePartition,
      .scale = s.scale};
  KernelContext inner = context;
  inner.scalars = &settings;
  generated(inner, first_whole, last_whole);
  if (last_whole * code.sets < last) code.by_hand(context, last_whole * code.sets * parts, last * parts);
}

}  // namespace reprise::kernels::cpu

#include "kernels/cpu/attention.h"

namespace reprise::kernels::cpu {

int64_t attention_workspace_bytes(const AttentionScalars& s) {
  if (s.partitions == 1) return 0;
  return kAttentionSplitTokens * s.heads * s.partitions * (s.head_dim + 2) *
         static_cast<int64_t>(sizeof(float));
}

}  // namespace reprise::kernels::cpu

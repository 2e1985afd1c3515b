#include "kernels/cpu/attention.h"

namespace reprise::kernels::cpu {

int64_t attention_workspace_bytes(const AttentionScalars& s) {
  return s.split_tokens * s.heads * s.partitions * (s.head_dim + 2) * static_cast<int64_t>(sizeof(float));
}

}  // namespace reprise::kernels::cpu

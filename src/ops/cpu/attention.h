// The launch of attention with code that was generated for it.
#pragma once

#include <span>

#include "kernels/cpu/attention.h"
#include "ops/op.h"

namespace reprise::ops::cpu {

// Launches a call of paged_attention; with `code`, which is of the call's shape, its steps run by it as far as they can.
// Null: as the op itself does.
void launch_coded_attention(const kernels::cpu::AttentionCode* code, const OpCall& call, Stream& stream,
                            std::span<const Tensor> outputs, WorkspaceAllocator& allocator);

}  // namespace reprise::ops::cpu

// The launch of an op that is nothing but its body (OpSchema::body): the interpreter of loop programs runs it.
#pragma once

#include <span>

#include "kernels/cpu/loop.h"
#include "ops/op.h"

namespace reprise::ops::cpu {

// An OpLaunch. Throws Error where the body does not fit the inputs.
void launch_body(const OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                 WorkspaceAllocator& workspace);

// Launches `code`: `inputs` and `outputs` are its buffers in their order, absent ones left out; the rows are
// those of the first output.
void launch_code(const kernels::cpu::LoopCode& code, std::string_view name, Stream& stream,
                 std::span<const Tensor* const> inputs, std::span<const Tensor> outputs);

}  // namespace reprise::ops::cpu

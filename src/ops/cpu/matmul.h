// The launch of a matmul together with what stands before and behind it.
#pragma once

#include <span>
#include <string_view>

#include "kernels/cpu/coded_matmul.h"
#include "ops/op.h"

namespace reprise::ops::cpu {

// `inputs` and `outputs` are the buffers of the matmul in their order, all with the rows of the first output.
void launch_coded_matmul(const kernels::cpu::MatmulCode& code, std::string_view name, Stream& stream,
                         std::span<const Tensor* const> inputs, std::span<const Tensor> outputs);

}  // namespace reprise::ops::cpu

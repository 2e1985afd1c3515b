// The launch of rotary_kv_write with code that was generated for it.
#pragma once

#include "kernels/cpu/rotary_kv_write.h"
#include "ops/op.h"

namespace reprise::ops::cpu {

// Launches a call of rotary_kv_write, whose output is `y`; with `code`, which is of the call's shape, by it. Null: as
// the op itself does.
void launch_coded_rotary_kv(const kernels::cpu::RotaryKvWriteCode* code, const OpCall& call, Stream& stream,
                            const Tensor& y);

}  // namespace reprise::ops::cpu

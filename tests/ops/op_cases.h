// Calls of the ops that promise something (row_wise, may_share, decompose), at odd sizes. An op that promises
// without a case here fails a test of registry_test.cc.
#pragma once

#include <functional>
#include <vector>

#include "tests/ops/op_rig.h"

namespace reprise::ops::testing {

std::vector<OpCase> op_cases(DType dtype, int64_t tokens);

// check(case, isa) for f32 and bf16, 1, 3 and 17 tokens, and every level that this machine has; failures say
// which.
void for_all_cases(const std::function<void(const OpCase&, Isa)>& check);

}  // namespace reprise::ops::testing

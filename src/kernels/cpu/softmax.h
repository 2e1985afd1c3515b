// Reductions over rows of f32 logits. Work items are rows.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct RowScalars {
  int64_t columns = 0;  // >= 1
};

// stats[r] = { m = max of the row, log(sum of exp(x - m)) }: the log-probability of column c is (x[c] - m) -
// log_sum. dtype: f32.
//   0 x f32 [rows, columns]   1 stats f32 [rows, 2]
const Kernel& log_sum_exp_kernel(Isa isa, DType dtype);

// y = (x - m) - log_sum
//   0 x f32 [rows, columns]   1 y f32 [rows, columns], may be x
const Kernel& log_softmax_kernel(Isa isa, DType dtype);

// Lowest index of the largest value; NaN never wins; 0 where nothing exceeds -infinity.
//   0 x f32 [rows, columns]   1 index i32 [rows]
const Kernel& argmax_kernel(Isa isa, DType dtype);

}  // namespace reprise::kernels::cpu

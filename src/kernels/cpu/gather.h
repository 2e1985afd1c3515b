// Picks rows of a matrix: the rows whose logits are read, before the head.
#pragma once

#include "core/dtype.h"
#include "core/isa.h"
#include "core/launch.h"

namespace reprise::kernels::cpu {

struct GatherScalars {
  int64_t dim = 0;
};

// y[s] = x[rows[s]]; items are the rows of y.
//   0 x [n, dim]   1 rows i32 [items], each in [0, n)   2 y [items, dim], not x
const Kernel& gather_rows_kernel(Isa isa, DType dtype);

}  // namespace reprise::kernels::cpu

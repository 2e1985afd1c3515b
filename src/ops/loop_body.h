// Ops as loop programs: from OpSchema::body to a program of one call, and to a part of a larger one.
#pragma once

#include <cstdint>
#include <span>

#include "loop/program.h"
#include "ops/op.h"

namespace reprise::ops {

// Whether an input of that shape has a number for each column, the same in every row: one dimension, known.
bool is_per_column(const Shape& shape);

// Columns of the rows that the body of the call goes over: the elements of its per-column inputs, where it has
// any (a norm of each head has head_dim columns), else those of a row. 0: the op has no body, or its inputs
// are not rows of f32 or bf16.
int64_t body_columns(const OpCall& call);

// Adds the call to the program of the inputs' builder. Outputs are rounded to their dtypes.
void write_body(const OpCall& call, std::span<const loop::Value> inputs, std::span<loop::Value> outputs);

// The call as a program: the inputs that are there are read in their order, the outputs written in theirs.
// Throws Error where body_columns() is 0.
loop::Program program_of(const OpCall& call);

}  // namespace reprise::ops

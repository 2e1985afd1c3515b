// Looks up rows: token embeddings in a packed weight, and rows of activations by number.
#pragma once

#include "ops/op.h"

namespace reprise::ops {

// ids i32 [rows], weight packed [V, K] -> [rows, K] of the weight's dtype. A tied head is the same packed
// weight.
Tensor embedding(const Tensor& ids, const Tensor& weight, Where where = Where::current());
// x [T, dim], rows i32 [n], each in [0, T) -> [n, dim].
Tensor gather_rows(const Tensor& x, const Tensor& rows, Where where = Where::current());

extern const OpSchema kEmbedding;
extern const OpSchema kGatherRows;

}  // namespace reprise::ops

// A row-wise op over some of its rows gives those rows: what a pass relies on that computes only rows which
// are read.
#include <gtest/gtest.h>

#include "tests/ops/op_cases.h"

namespace reprise::ops::testing {
namespace {

// As many as the cases have sequences, out of order.
std::vector<int64_t> picked_rows(int64_t tokens) {
  return {tokens - 1, 0, tokens / 2};
}

Bytes rows_of(const Bytes& all, int64_t count, const std::vector<int64_t>& picked) {
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(all.size()) / count;
  Bytes bytes;
  for (int64_t i : picked) bytes.insert(bytes.end(), all.begin() + i * row, all.begin() + (i + 1) * row);
  return bytes;
}

Shape by_sequence(const Shape& shape) {
  return shape.rank() == 1 ? Shape{kSeqs} : Shape{kSeqs, shape[1]};
}

TEST(RowWiseTest, SomeRowsAreThoseRowsOfAll) {
  for_all_cases([](const OpCase& op, Isa isa) {
    if (!op.schema->row_wise) return;
    const std::vector<int64_t> picked = picked_rows(op.sizes.tokens);
    OpCase some = op;
    for (Operand& operand : some.inputs) {
      if (operand.bytes.empty() || operand.shape[0] != kTokens) continue;
      operand.bytes = rows_of(operand.bytes, op.sizes.tokens, picked);
      operand.shape = by_sequence(operand.shape);
    }
    const Result all = run_launch(op, isa), result = run_launch(some, isa);
    for (size_t i = 0; i < all.outputs.size(); ++i) {
      ASSERT_EQ(all.shapes[i][0], kTokens);
      EXPECT_EQ(result.shapes[i], by_sequence(all.shapes[i]));
      EXPECT_TRUE(result.outputs[i] == rows_of(all.outputs[i], op.sizes.tokens, picked)) << "output " << i;
    }
  });
}

}  // namespace
}  // namespace reprise::ops::testing

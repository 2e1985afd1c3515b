// A fused op is what its decompose says, bit by bit.
#include <gtest/gtest.h>

#include <set>
#include <string_view>

#include "ops/registry.h"
#include "ops/rotary_kv_write.h"
#include "tests/ops/op_cases.h"

namespace reprise::ops::testing {
namespace {

TEST(FusedOpTest, LaunchesTheBitsOfItsParts) {
  for_all_cases([](const OpCase& op, Isa isa) {
    if (op.schema->decompose == nullptr) return;
    const Result fused = run_launch(op, isa), parts = run_decomposed(op, isa);
    ASSERT_EQ(fused.shapes, parts.shapes);
    for (size_t i = 0; i < fused.outputs.size(); ++i)
      EXPECT_TRUE(fused.outputs[i] == parts.outputs[i]) << "output " << i;
    for (size_t i = 0; i < fused.inputs.size(); ++i)
      EXPECT_TRUE(fused.inputs[i] == parts.inputs[i]) << "what is left in input " << i;
  });
}

// An op's body says what its kernel does: the interpreter of loop programs leaves the same bits.
TEST(OpBodyTest, IsWhatTheKernelComputes) {
  std::set<std::string_view> tried;
  for_all_cases([&](const OpCase& op, Isa isa) {
    if (op.schema->body == nullptr) return;
    tried.insert(op.schema->name);
    const Result kernel = run_launch(op, isa), body = run_body(op, isa);
    ASSERT_EQ(kernel.shapes, body.shapes);
    for (size_t i = 0; i < kernel.outputs.size(); ++i)
      EXPECT_TRUE(kernel.outputs[i] == body.outputs[i]) << op.schema->name << ", output " << i;
  });
  for (const OpSchema* op : all_ops())
    EXPECT_TRUE(op->body == nullptr || tried.contains(op->name)) << op->name << " has a body and no case";
}

TEST(FusedOpTest, RotaryKvWriteLeavesTheNullBlockAlone) {
  bool wrote_elsewhere = false;
  for_all_cases([&](const OpCase& op, Isa isa) {
    if (op.schema != &kRotaryKvWrite) return;
    const Result result = run_launch(op, isa);
    for (size_t cache : {9, 10}) {
      const Bytes& before = op.inputs[cache].bytes;
      const auto block = static_cast<std::ptrdiff_t>(before.size()) / op.inputs[cache].shape[0].constant;
      EXPECT_TRUE(std::equal(before.begin(), before.begin() + block, result.inputs[cache].begin()));
      wrote_elsewhere |= before != result.inputs[cache];
    }
  });
  EXPECT_TRUE(wrote_elsewhere);
}

}  // namespace
}  // namespace reprise::ops::testing

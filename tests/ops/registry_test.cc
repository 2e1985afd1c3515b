#include "ops/registry.h"
#include "ops/launch_table.h"

#include <gmock/gmock.h>

#include <set>

#include "ops/elementwise.h"
#include "tests/ops/op_cases.h"

namespace reprise::ops::testing {
namespace {

TEST(RegistryTest, NamesAreUniqueAndFindTheirOp) {
  std::set<std::string_view> names;
  for (const OpSchema* op : all_ops()) {
    EXPECT_TRUE(names.insert(op->name).second) << op->name;
    EXPECT_EQ(find_op(op->name), op);
  }
  EXPECT_EQ(find_op("no_such_op"), nullptr);
}

TEST(RegistryTest, FusedOpsSayWhatTheyMean) {
  std::set<std::string_view> fused;
  for (const OpSchema* op : all_ops())
    if (op->decompose != nullptr) fused.insert(op->name);
  EXPECT_THAT(fused, ::testing::UnorderedElementsAre("matmul_group", "add_rms_norm", "silu_mul", "gelu_mul",
                                                     "gelu_tanh_mul", "rotary_kv_write"));
}

TEST(RegistryTest, SchemasAreSound) {
  for (const OpSchema* op : all_ops()) {
    SCOPED_TRACE(op->name);
    const size_t inputs = op->input_names.size();
    EXPECT_LE(inputs, static_cast<size_t>(OpCall::kMaxInputs));
    EXPECT_LE(op->attr_names.size(), static_cast<size_t>(OpCall::kMaxAttrs));
    EXPECT_NE(op->infer, nullptr);
    EXPECT_NE(find_launch(*op, DeviceKind::cpu), nullptr);
    EXPECT_EQ(op->mutated_inputs >> inputs, 0u);
    EXPECT_FALSE(op->row_wise && op->mutated_inputs != 0);
    for (uint16_t sharable : op->may_share) {
      EXPECT_EQ(sharable >> inputs, 0);
      EXPECT_EQ(sharable & op->mutated_inputs, 0u);  // a state stays where it is
    }
    for (auto* names : {&op->input_names, &op->attr_names})
      EXPECT_EQ(std::set<std::string_view>(names->begin(), names->end()).size(), names->size());
  }
}

TEST(RegistryTest, EveryPromiseIsTried) {
  std::set<const OpSchema*> tried;
  for (const OpCase& op : op_cases(DType::f32, 3)) tried.insert(op.schema);
  for (const OpSchema* op : all_ops()) {
    const bool promises = op->decompose != nullptr || op->row_wise || op->may_share != OpSchema{}.may_share;
    EXPECT_TRUE(!promises || tried.contains(op)) << op->name << " has no case in op_cases.cc";
  }
}

TEST(RegistryTest, AProgramAddsOpsAndReplacesThem) {
  static const OpSchema mine{.name = "mine", .kind = OpKind::opaque, .infer = kAdd.infer};
  static const OpSchema better{.name = "mine", .kind = OpKind::elementwise, .infer = kAdd.infer};
  const size_t before = all_ops().size();
  register_op(mine);
  EXPECT_EQ(find_op("mine"), &mine);
  register_op(better);
  EXPECT_EQ(find_op("mine"), &better);
  EXPECT_EQ(all_ops().size(), before + 1);
}

}  // namespace
}  // namespace reprise::ops::testing

// What the ops infer, and what they say to inputs that don't fit together.
#include <gmock/gmock.h>

#include "core/error.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/launch_table.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary_kv_write.h"
#include "tests/ops/op_rig.h"

namespace reprise::ops::testing {
namespace {

using ::testing::HasSubstr;

constexpr StepSizes kSizes{.tokens = 3, .seqs = 2};

Operand rows(int64_t width, DType dtype = DType::f32) {
  return random(dtype, Shape{kTokens, width}, kSizes, 1);
}
Operand constant(Shape shape) {
  return random(DType::f32, shape, kSizes, 1);
}

void expect_refusal(const OpCase& op, const std::string& message) {
  try {
    infer(op);
    ADD_FAILURE() << "no refusal: " << message;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(message));
  }
}

OpCase group(std::vector<Operand> pairs) {
  pairs.insert(pairs.begin(), rows(16));
  pairs.resize(kMatmulGroup.input_names.size());
  return {.what = "", .schema = &kMatmulGroup, .sizes = kSizes, .inputs = pairs, .attrs = {DType::bf16}};
}

TEST(SchemaTest, MatmulGroupHasAnOutputForEachWeight) {
  const Operand weight = packed(DType::f32, 7, 16, 1), wider = packed(DType::f32, 40, 16, 2);
  EXPECT_EQ(infer(group({weight, absent()})).count, 1);
  const OutputSpecs three = infer(group({weight, constant({7}), wider, absent(), weight, constant({7})}));
  ASSERT_EQ(three.count, 3);
  for (int i : {0, 1, 2}) {
    EXPECT_EQ(three.specs[static_cast<size_t>(i)].dtype, DType::bf16);
    EXPECT_EQ(three.specs[static_cast<size_t>(i)].shape, (Shape{kTokens, i == 1 ? 40 : 7}));
  }
}

TEST(SchemaTest, MatmulGroupRefuses) {
  const Operand weight = packed(DType::f32, 7, 16, 1);
  expect_refusal(group({absent(), absent(), weight, absent()}),
                 "[matmul_group] x is float32 [T, 16], the packed weight float32 []");
  expect_refusal(group({weight, absent(), absent(), absent(), weight, absent()}),
                 "[matmul_group] weight2 stands behind an absent weight");
  expect_refusal(group({weight, absent(), absent(), constant({7})}),
                 "[matmul_group] bias1 stands behind an absent weight");
  expect_refusal(group({weight, absent(), packed(DType::f32, 7, 20, 1)}),
                 "the packed weight float32 [7, 20]");
  expect_refusal(group({weight, absent(), packed(DType::bf16, 7, 16, 1)}), "of the same dtype");
  expect_refusal(group({weight, constant({8})}),
                 "[matmul_group] the bias is float32 [8], expected float32 [7]");
  Operand plain = constant({7, 16});
  expect_refusal(group({plain}),
                 "the packed weight float32 [7, 16], row-major; x must be [rows, K] and the weight");
}

// Which pairs of dtypes are multiplied is the device's to say.
TEST(SchemaTest, MatmulLeavesThePairOfDtypesToTheDevice) {
  OpCase mixed = group({packed(DType::bf16, 7, 16, 1)});
  EXPECT_EQ(infer(mixed).specs[0].shape, (Shape{kTokens, 7}));
  for (const OpSchema* schema : {&kMatmul, &kMatmulGroup}) {
    mixed.schema = schema;
    mixed.inputs.resize(schema->input_names.size());
    try {
      run_launch(mixed, Isa::scalar);
      ADD_FAILURE() << "launched";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr(fmt::format("[{}] no kernel of the CPU multiplies float32 activations by "
                                        "bfloat16 weights in panels",
                                        schema->name)));
    }
  }
}

TEST(SchemaTest, TheCpuReadsNoScales) {
  OpCase call = group({packed(DType::f32, 7, 16, 1)});
  Packing& packing = call.inputs[1].packing;
  packing.scale = DType::f16;
  packing.group = 8;
  call.inputs[1].bytes.resize(packed_size(packing, {7, 16}).bytes());
  EXPECT_EQ(infer(call).count, 1);
  try {
    run_launch(call, Isa::scalar);
    ADD_FAILURE() << "launched";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("float32 weights in panels/8xf16"));
  }
  OpCase two = group({packed(DType::f32, 7, 16, 1), absent(), call.inputs[1]});
  expect_refusal(two, "weight0 is float32 panels, weight1 float32 panels/8xf16; weights of one call must be");
  OpCase rows_of_it{.what = "",
                    .schema = &kEmbedding,
                    .sizes = kSizes,
                    .inputs = {integers({kTokens}, {0, 1, 2}), call.inputs[1]}};
  try {
    run_launch(rows_of_it, Isa::scalar);
    ADD_FAILURE() << "launched";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                HasSubstr("[embedding] no kernel of the CPU reads float32 rows out of panels/8xf16"));
  }
}

TEST(SchemaTest, AddRmsNormRefuses) {
  const auto call = [](Operand residual, Operand weight) {
    return OpCase{.what = "",
                  .schema = &kAddRmsNorm,
                  .sizes = kSizes,
                  .inputs = {rows(12), residual, weight},
                  .attrs = {1e-6}};
  };
  EXPECT_EQ(infer(call(rows(12), constant({12}))).count, 2);
  expect_refusal(call(rows(13), constant({12})), "the residual float32 [T, 13]");
  expect_refusal(call(rows(12, DType::bf16), constant({12})), "the residual bfloat16 [T, 12]");
  expect_refusal(call(rows(12), constant({5})), "[add_rms_norm] x is [T, 12], the weight float32 [5]");
}

class RotaryKvWriteSchemaTest : public ::testing::Test {
 protected:
  // 2 heads of 8, of which 6 elements turn, and 1 kv head
  OpCase call{.what = "",
              .schema = &kRotaryKvWrite,
              .sizes = kSizes,
              .inputs = {rows(16), rows(8), rows(8), absent(), absent(), rows(3), rows(3), absent(),
                         integers({kTokens}, {16, 17, 18}), constant({2, 128}), constant({2, 128})},
              .attrs = {int64_t{1}, int64_t{8}, int64_t{16}, int64_t{0}, int64_t{0}, 1e-6}};

  void expect_refusal_with(size_t input, Operand operand, const std::string& message) {
    OpCase changed = call;
    changed.inputs[input] = operand;
    expect_refusal(changed, message);
  }
};

TEST_F(RotaryKvWriteSchemaTest, OneOutputLikeQ) {
  const OutputSpecs specs = infer(call);
  ASSERT_EQ(specs.count, 1);
  EXPECT_EQ(specs.specs[0].shape, (Shape{kTokens, 16}));
}

TEST_F(RotaryKvWriteSchemaTest, Refuses) {
  const auto bf16 = [](Shape shape) { return random(DType::bf16, shape, kSizes, 1); };
  expect_refusal_with(0, rows(15), "[rotary_kv_write] q is float32 [T, 15], expected float32 [T, heads * 8]");
  expect_refusal_with(0, constant({3, 16}), "q is float32 [3, 16]");
  expect_refusal_with(1, rows(16), "k is float32 [T, 16], expected float32 [T, 8]");
  expect_refusal_with(2, rows(16), "v is float32 [T, 16]");
  expect_refusal_with(2, bf16({kTokens, 8}), "v is bfloat16 [T, 8]");
  expect_refusal_with(3, constant({6}), "q_norm is float32 [6], expected float32 [8]");
  expect_refusal_with(4, rows(8), "k_norm is float32 [T, 8], expected float32 [8]");
  expect_refusal_with(6, rows(2), "sin is float32 [T, 2], expected float32 [T, at most 4], the same for cos");
  expect_refusal_with(5, bf16({kTokens, 3}), "cos is bfloat16 [T, 3]");
  expect_refusal_with(8, integers({Dim{2}}, {16, 17}), "slots is int32 [2], expected int32 [T]");
  expect_refusal_with(8, random(DType::f32, {kTokens}, kSizes, 1), "slots is float32 [T]");
  expect_refusal_with(9, bf16({2, 128}), "keys is bfloat16 [2, 128], expected float32");
  expect_refusal_with(10, bf16({2, 128}), "values is bfloat16 [2, 128]");
}

TEST_F(RotaryKvWriteSchemaTest, TablesComeWithPositions) {
  OpCase tabled = call;
  tabled.inputs[5] = tabled.inputs[6] = constant({40, 3});
  expect_refusal(tabled, "cos is float32 [40, 3], expected float32 [T, at most 4]");
  tabled.inputs[7] = integers({kTokens}, {1, 2, 3});
  EXPECT_EQ(infer(tabled).count, 1);
  tabled.inputs[7] = integers({Dim{2}}, {1, 2});
  expect_refusal(tabled, "positions is int32 [2], expected int32 [T]");
  tabled = call;
  tabled.inputs[7] = integers({kTokens}, {1, 2, 3});
  expect_refusal(tabled, "cos is float32 [T, 3], expected float32 [positions, at most 4]");
}

TEST(SchemaTest, PagedAttentionNamesTheAttributeThatIsWrong) {
  enum Attr { kHeads, kKvHeads, kHeadDim, kScale, kWindow, kBlockSize, kPartitionSize, kMaxModelLen };
  const OpCase good{
      .what = "",
      .schema = &kPagedAttention,
      .sizes = kSizes,
      .inputs = {rows(64), constant({4, 2 * 16 * 64}), constant({4, 2 * 16 * 64}),
                 random(DType::i32, Shape{kSeqs, 1}, kSizes, 1),
                 random(DType::i32, Shape{kTokens}, kSizes, 1),
                 random(DType::i32, Shape{kTokens}, kSizes, 1)},
      .attrs = {int64_t{4}, int64_t{2}, int64_t{16}, 1.0, int64_t{0}, int64_t{64}, int64_t{64}, int64_t{64}}};
  EXPECT_EQ(infer(good).count, 1);
  const auto refused = [&](Attr attr, int64_t value, const std::string& message) {
    OpCase bad = good;
    bad.attrs[attr] = value;
    expect_refusal(bad, message);
  };
  refused(kHeads, 5, "heads is 5, expected a multiple of kv_heads");
  refused(kKvHeads, 0, "kv_heads is 0");
  refused(kHeadDim, 257, "head_dim is 257");
  refused(kBlockSize, 24, "block_size is 24");
  refused(kWindow, -1, "window is -1");
  refused(kPartitionSize, 100, "partition_size is 100");
}

TEST(LaunchTable, AnOpWithoutAKernelIsRefusedByName) {
  static const OpSchema foreign{.name = "foreign", .kind = OpKind::opaque};
  EXPECT_EQ(find_launch(foreign, DeviceKind::cpu), nullptr);
  try {
    launch_of(kAdd, DeviceKind::cuda);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr("[add]"), HasSubstr("'cuda'")));
  }
}

}  // namespace
}  // namespace reprise::ops::testing

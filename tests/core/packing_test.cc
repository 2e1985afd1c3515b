#include "core/packing.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/tensor.h"

namespace reprise {
namespace {

constexpr Packing kGrouped{.format = PanelFormat::bf16_pairs, .scale = DType::f16, .group = 32};

TEST(Packing, CountsWholePanels) {
  const PackedSize f32 = packed_size(kF32Panels, {33, 5});
  EXPECT_EQ(f32.matrices, 1);
  EXPECT_EQ(f32.panels, 2);
  EXPECT_EQ(f32.panel_rows, 32);
  EXPECT_EQ(f32.panel_bytes, size_t{32 * 5 * 4});
  EXPECT_EQ(f32.bytes(), size_t{2 * 32 * 5 * 4});
  // bf16 pads k to 32.
  EXPECT_EQ(packed_size(kBf16Panels, {64, 33}).bytes(), size_t{64 * 64 * 2});
}

TEST(Packing, AStackPadsEachMatrix) {
  const PackedSize stack = packed_size(kF32Panels, {3, 33, 5});
  EXPECT_EQ(stack.matrices, 3);
  EXPECT_EQ(stack.panels, 2);
  EXPECT_EQ(stack.matrix_bytes(), packed_size(kF32Panels, {33, 5}).bytes());
  EXPECT_EQ(stack.bytes(), 3 * stack.matrix_bytes());
}

TEST(Packing, ScalesStandInThePanels) {
  // 32 rows of 96 elements and 3 scales; 70 elements are padded to 96.
  EXPECT_EQ(packed_size(kGrouped, {40, 70}).panel_bytes, size_t{32 * (96 * 2 + 3 * 2)});
  EXPECT_EQ(packed_size(kGrouped, {40, 70}).bytes(), size_t{2 * 32 * (96 * 2 + 3 * 2)});
  // The last group may be short.
  const Packing wide{.format = PanelFormat::f32_rows, .scale = DType::f32, .group = 64};
  EXPECT_EQ(packed_size(wide, {32, 65}).bytes(), size_t{32 * (65 * 4 + 2 * 4)});
}

TEST(Packing, SizesAreOfWeights) {
  EXPECT_THROW(packed_size(kRowMajor, {4, 4}), InternalError);
  EXPECT_THROW(packed_size(kF32Panels, {4}), InternalError);
  EXPECT_THROW(packed_size(kF32Panels, {1, 1, 4, 4}), InternalError);
  EXPECT_THROW(packed_size(kF32Panels, {kTokens, 4}), InternalError);
}

TEST(Packing, ATensorsBytesAreThoseOfItsPacking) {
  Tensor tensor{.buffer = {}, .offset = 0, .dtype = DType::bf16, .packing = kRowMajor, .shape = {33, 5}};
  EXPECT_EQ(tensor.extent(), Dim(33 * 5 * 2));
  tensor.packing = kBf16Panels;
  EXPECT_EQ(tensor.extent(), Dim(64 * 32 * 2));
}

TEST(Packing, TextComesBack) {
  EXPECT_EQ(to_string(kRowMajor), "row-major");
  EXPECT_EQ(to_string(kF32Panels), "panels");
  EXPECT_EQ(to_string(kBf16Panels), "panels");
  EXPECT_EQ(to_string(kGrouped), "panels/32xf16");
  EXPECT_EQ(parse_packing("row-major", DType::f32), kRowMajor);
  EXPECT_EQ(parse_packing("panels", DType::f32), kF32Panels);
  EXPECT_EQ(parse_packing("panels", DType::bf16), kBf16Panels);
  EXPECT_EQ(parse_packing("panels/32xf16", DType::bf16), kGrouped);
}

TEST(Packing, OtherTextIsNone) {
  for (const char* text : {"", "panel", "panels/", "panels/32", "panels/32x", "panels/0xf16", "panels/32xi8",
                           "panels/32xf16x", "panels/65536xf16", "panels/-1xf16", "panels/32f16", "/32xf16"})
    EXPECT_EQ(parse_packing(text, DType::bf16), std::nullopt) << text;
  EXPECT_EQ(parse_packing("panels", DType::i8), std::nullopt);
}

}  // namespace
}  // namespace reprise

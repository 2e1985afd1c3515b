// A call of an op knows the line of the model's code, by a path from the root of the tree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/sampling.h"

namespace reprise::ops {
namespace {

// Notes where the last call came from; runs nothing.
class Noting final : public Dispatcher {
 public:
  Outputs dispatch(const OpCall& call) override {
    line = call.where.line();
    file = call.where.file_name();
    return {};
  }
  const std::byte* read(const Tensor&) override { return nullptr; }

  uint32_t line = 0;
  std::string_view file;
};

TEST(WhereTest, EveryOpFunctionTellsItsCallersLine) {
  Noting noting;
  const DispatchScope scope(noting);
  const Tensor t;
  const auto expect_line = [&](uint32_t line) {
    EXPECT_EQ(noting.line, line);
    EXPECT_THAT(noting.file, testing::EndsWith("tests/ops/where_test.cc"));
  };
  add(t, t);
  expect_line(__LINE__ - 1);
  mul(t, t);
  expect_line(__LINE__ - 1);
  silu(t);
  expect_line(__LINE__ - 1);
  gelu(t);
  expect_line(__LINE__ - 1);
  gelu_tanh(t);
  expect_line(__LINE__ - 1);
  embedding(t, t);
  expect_line(__LINE__ - 1);
  gather_rows(t, t);
  expect_line(__LINE__ - 1);
  matmul(t, t, t, DType::f32);
  expect_line(__LINE__ - 1);
  rms_norm(t, t, 0.0);
  expect_line(__LINE__ - 1);
  layer_norm(t, t, t, 0.0);
  expect_line(__LINE__ - 1);
  rotary_angles(t, t, t, {});
  expect_line(__LINE__ - 1);
  rotary(t, {}, 2, RotaryStyle::half, false);
  expect_line(__LINE__ - 1);
  kv_write(t, t, t, t, t, {});
  expect_line(__LINE__ - 1);
  paged_attention(t, t, t, t, t, t, {});
  expect_line(__LINE__ - 1);
  sample(t, {});
  expect_line(__LINE__ - 1);
}

}  // namespace
}  // namespace reprise::ops

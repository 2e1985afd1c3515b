#include "capture/binding.h"

#include <gmock/gmock.h>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Bound : testing::Test {
  Step step{1};
  Tensor ids = step.block.at(0, {kTokens}), lengths = step.block.at(64, {kSeqs}),
         unused = step.block.at(900, {kSeqs}), out = step.block.at(128, {kTokens, 4});
  ReplayKey key{.smallest = {1, 1, 1}, .largest = {8, 4, 6}};
  Recording recording = step.record([&] {
    const LayerScope layer("model");
    {
      const OpScope op("embedding");
      step.mix_rows(out, {ids}, 1);
    }
    const LayerScope inner("model.layers.0");
    const OpScope op("attention");
    step.mix_rows(out, {ids, lengths}, 2);
  });

  Binding bind() {
    const std::vector<NamedInput> inputs{{"token_ids", ids}, {"lengths", lengths}, {"unused", unused}};
    const std::vector<const Recording*> parts{&recording};
    return Binding(key, inputs, parts);
  }
  void check(StepSizes sizes, const std::vector<Tensor>& inputs) {
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : inputs) pointers.push_back(&input);
    bind().check(sizes, pointers);
  }
  void expect(CaptureRule rule, std::string_view op, std::string_view layer, std::string_view message,
              StepSizes sizes, const std::vector<Tensor>& inputs) {
    try {
      check(sizes, inputs);
      ADD_FAILURE() << "not refused: " << message;
    } catch (const CaptureError& e) {
      EXPECT_EQ(e.rule(), rule);
      EXPECT_EQ(e.op(), op);
      EXPECT_EQ(e.layer(), layer);
      EXPECT_THAT(e.what(), HasSubstr(std::string(message)));
    }
  }
};

TEST_F(Bound, TheStepThatWasCapturedPasses) {
  EXPECT_NO_THROW(check({1, 1, 1}, {ids, lengths, unused}));
  EXPECT_NO_THROW(check({8, 4, 6}, {ids, lengths, unused}));
}

TEST_F(Bound, AnInputThatMovedIsNamedWithItsFirstUser) {
  expect(CaptureRule::address_changed, "attention", "model.layers.0", "input 'lengths' lies at", {1, 1, 1},
         {ids, step.block.at(68, {kSeqs}), unused});
  expect(CaptureRule::address_changed, "embedding", "model", "input 'token_ids' lies at", {1, 1, 1},
         {lengths, lengths, unused});
  expect(CaptureRule::address_changed, "", "", "'unused'", {1, 1, 1}, {ids, lengths, ids});
}

TEST_F(Bound, AnInputOfAnotherTypeOrShapeIsNamed) {
  Tensor floats = ids, fixed = lengths;
  floats.dtype = DType::f32;
  fixed.shape = Shape{4};
  expect(CaptureRule::shape_changed, "embedding", "model", "input 'token_ids' is float32 [T]", {1, 1, 1},
         {floats, lengths, unused});
  expect(CaptureRule::shape_changed, "attention", "model.layers.0", "[4], at capture it was int32 [S]",
         {1, 1, 1}, {ids, fixed, unused});
}

TEST_F(Bound, SizesBeyondTheKeyAreRefused) {
  for (const StepSizes sizes : {StepSizes{9, 4, 4}, {0, 1, 1}, {8, 5, 4}, {1, 0, 1}, {8, 4, 7}, {1, 1, 0}})
    expect(CaptureRule::shape_changed, "embedding", "model", "the recording serves T=1..8 S=1..4 R=1..6",
           sizes, {ids, lengths, unused});
  key = {.smallest = {4, 4, 4}, .largest = {4, 4, 4}};  // a recording of one size
  expect(CaptureRule::shape_changed, "embedding", "model", "T=3 S=4 R=4", {3, 4, 4}, {ids, lengths, unused});
}

}  // namespace
}  // namespace reprise::capture

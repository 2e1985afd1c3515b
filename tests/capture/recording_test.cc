#include "capture/recording.h"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

TEST(Recording, HoldsEverythingOfALaunchAfterItsOwnersAreGone) {
  Step step(1);
  Recording recording = step.record([&] {
    const std::string layer = "model.layers." + std::to_string(27) + ".self_attn";
    const std::string op = "an_op_with_a_long_name";
    const LayerScope in_layer(layer);
    const OpScope in_op(op);
    step.mix_rows(step.block.at(8, {kTokens, 4}), {step.block.at(0, {4})}, 7, 0, 2);
    step.stream.fill_bytes(step.block.at(100, {2}), 1);
  });
  const Recording moved = std::move(recording);
  ASSERT_EQ(moved.launches().size(), 2u);
  const RecordedLaunch& launch = moved.launches()[0];
  EXPECT_EQ(launch.kernel.name, "mix");
  EXPECT_EQ(launch.op, "an_op_with_a_long_name");
  EXPECT_EQ(launch.layer, "model.layers.27.self_attn");
  EXPECT_EQ(launch.dims.items, Dim(0, 4, 0, 0));
  EXPECT_EQ(launch.dims.grain, 2);
  ASSERT_EQ(launch.buffer_count, 2u);
  const RecordedBuffer& out = moved.buffers_of(launch)[0];
  EXPECT_EQ(out.offset, 32);
  EXPECT_EQ(out.extent, Dim(0, 16, 0, 0));
  EXPECT_EQ(out.access, Access::write);
  EXPECT_EQ(out.address, reinterpret_cast<std::byte*>(step.block.words() + 8));
  MixScalars scalars;
  ASSERT_EQ(launch.scalar_bytes, sizeof(scalars));
  std::memcpy(&scalars, moved.scalars_of(launch), sizeof(scalars));
  EXPECT_EQ(scalars.salt, 7u);
  for (const RecordedLaunch& each : moved.launches()) EXPECT_EQ(each.first_scalar % 16, 0u);
}

TEST(Recording, ReadsAsText) {
  Step step(1);
  StepArena arena(kDry);
  arena.set_sizing({.tokens = 8, .seqs = 8});
  const Tensor dry = arena.allocate(DType::f32, {kTokens, 4});
  const Recording recording = step.record([&] {
    const LayerScope in_layer("layers.0.mlp");
    {
      const OpScope in_op("mix_op");
      step.stream.launch(kMix, {.items = kTokens * 4, .grain = 2},
                         {writes(dry), reads(Tensor{}), reads(step.block.at(3, {kSeqs}))}, MixScalars{});
    }
    step.update(step.block.at(0, {4}), 1);
    step.stream.launch(kMixInto, {.items = 4, .rows = kTokens, .rows_per_block = 64},
                       {updates(step.block.at(0, {4}))}, MixScalars{});
  });
  const uint64_t id = step.block.at(0, {4}).buffer->id;
  EXPECT_EQ(
      to_text(recording),
      fmt::format(
          "0 layers.0.mlp mix_op mix items=4*T grain=2 scalars=24 w arena+0[16*T] absent r state#{0}+12[4*S]\n"
          "1 layers.0.mlp - mix_into items=4 grain=1 scalars=24 rw state#{0}+0[16]\n"
          "2 layers.0.mlp - mix_into items=4 grain=1 rows=T/64 scalars=24 rw state#{0}+0[16]\n",
          id));
}

TEST(Recording, ForgetsItsTail) {
  Step step(1);
  const auto launch = [&](uint32_t salt) { step.update(step.block.at(0, {4}), salt); };
  Recording whole = step.record([&] { launch(1), launch(2), launch(3); });
  const Recording two = step.record([&] { launch(1), launch(2); });
  EXPECT_GT(whole.bytes(), two.bytes());
  whole.truncate(2);
  EXPECT_EQ(to_text(whole), to_text(two));
  EXPECT_EQ(whole.bytes(), two.bytes());
}

}  // namespace
}  // namespace reprise::capture

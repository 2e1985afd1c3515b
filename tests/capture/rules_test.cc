// What may not happen in the middle of a recording is refused, and the message names op, layer, rule and how
// to fix it.
#include <gmock/gmock.h>

#include "core/capture_error.h"
#include "core/capture_rules.h"
#include "ops/launch_table.h"
#include "ops/op.h"
#include "tests/capture/steps.h"

namespace reprise::capture {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Rules : testing::Test {
  Step step{1};
  Tensor a = step.block.at(0, {4});
  Recorder recorder;

  // `body` runs in the middle of a recording, inside of an op and a layer.
  template <typename Body>
  void expect_refused(CaptureRule rule, std::string_view message, Body&& body) {
    const RecordingScope recording(step.stream, recorder);
    const LayerScope layer("model.layers.3.mlp");
    const OpScope op("gate");
    step.update(a, 1);
    try {
      body();
      ADD_FAILURE() << "nothing was refused";
    } catch (const CaptureError& e) {
      EXPECT_EQ(e.rule(), rule);
      EXPECT_EQ(e.op(), "gate");
      EXPECT_EQ(e.layer(), "model.layers.3.mlp");
      EXPECT_THAT(e.what(), AllOf(HasSubstr(std::string(name_of(rule))), HasSubstr("'gate'"),
                                  HasSubstr("'model.layers.3.mlp'"), HasSubstr(std::string(message))));
    }
  }
};

TEST_F(Rules, HostReads) {
  expect_refused(CaptureRule::host_read, "after kernel 'mix_into'", [&] { step.stream.read_back(a); });
  EXPECT_EQ(step.stream.read_back(a), a.data());
}

TEST_F(Rules, Waits) {
  expect_refused(CaptureRule::synchronise, "wait after the step", [&] { step.stream.synchronize(); });
  EXPECT_NO_THROW(step.stream.synchronize());
}

TEST_F(Rules, Allocations) {
  HeapStore store(BufferKind::state, host_memory());
  expect_refused(CaptureRule::allocate, "shape [4]", [&] { store.allocate(DType::f32, {4}); });
  expect_refused(CaptureRule::allocate, "4096 bytes", [&] { MemoryRange memory(host_memory(), 4096); });
  EXPECT_EQ(store.bytes(), 0u);
  EXPECT_NO_THROW(store.allocate(DType::f32, {4}));
}

TEST_F(Rules, CopiesAndTheArenaAreLaunchesLikeAnyOther) {
  StepArena arena(host_memory(), 1 << 20);
  const RecordingScope recording(step.stream, recorder);
  step.stream.copy(a, arena.allocate(DType::i32, {4}));
  EXPECT_EQ(recorder.recording.launches().size(), 1u);
}

// A model that looks at a value does so between two ops: the last one is to blame.
TEST_F(Rules, BetweenOpsTheLastOneIsNamed) {
  const RecordingScope recording(step.stream, recorder);
  {
    const OpScope outer("outer");
    const OpScope inner("argmax");
  }
  { const OpScope last("argmax"); }
  const LayerScope layer("model");
  try {
    step.stream.read_back(a);
    FAIL();
  } catch (const CaptureError& e) {
    EXPECT_EQ(e.op(), "argmax");
    EXPECT_EQ(e.layer(), "model");
  }
}

TEST_F(Rules, OtherThreadsMayAllocate) {
  const RecordingScope recording(step.stream, recorder);
  EXPECT_TRUE(recording_on_this_thread());
  std::thread([] {
    EXPECT_FALSE(recording_on_this_thread());
    EXPECT_NO_THROW(MemoryRange memory(host_memory(), 4096));
  }).join();
}

TEST_F(Rules, EveryRuleHasANameAndAMend) {
  for (int rule = 0; rule <= static_cast<int>(CaptureRule::collective); ++rule) {
    const CaptureError error(static_cast<CaptureRule>(rule), "op", "layer", "found");
    EXPECT_THAT(error.what(), Not(testing::EndsWith("; ")));
    EXPECT_NE(name_of(static_cast<CaptureRule>(rule)), "unknown");
  }
  EXPECT_THAT(CaptureError(CaptureRule::collective, "", "", "found", "copy it before").what(),
              testing::EndsWith("; copy it before"));
}

// The eager dispatcher names the op of each launch.
TEST_F(Rules, DispatchedOpsNameTheirLaunches) {
  static const ops::OpSchema schema{
      .name = "probe",
      .kind = ops::OpKind::opaque,
      .infer = [](const ops::OpCall&, ops::OutputSpecs& outputs) { outputs.add(DType::i32, {4}); }};
  ops::register_launch(schema, DeviceKind::cpu,
                       {[](const ops::OpCall&, Stream& stream, std::span<const Tensor> outputs,
                           ops::WorkspaceAllocator&) { stream.fill_bytes(outputs[0], 0); }});
  StepArena arena(host_memory(), 1 << 20);
  ops::EagerDispatcher dispatcher(step.stream, arena);
  const ops::DispatchScope scope(dispatcher);
  const RecordingScope recording(step.stream, recorder);
  ops::dispatch_one(ops::OpCall(schema, {}));
  EXPECT_EQ(recorder.recording.launches()[0].op, "probe");
  EXPECT_EQ(OpScope::current(), "");
}

}  // namespace
}  // namespace reprise::capture

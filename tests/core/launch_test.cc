#include "core/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/arena.h"
#include "core/error.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"

namespace reprise {
namespace {

struct AddScalars {
  float amount;
};
const Kernel kAdd{"add_constant", [](const KernelContext& context, int64_t begin, int64_t end) {
                    for (int64_t i = begin; i < end; ++i)
                      context.buffer<float>(1)[i] =
                          context.buffer<float>(0)[i] + context.get_scalars<AddScalars>().amount;
                  }};

class Recorder final : public LaunchSink {
 public:
  void append(const Launch& launch) override {
    names.emplace_back(launch.kernel.name);
    layers.emplace_back(launch.layer);
    writes.push_back(launch.buffers.back().access == Access::write);
  }
  std::string_view last_kernel() const override { return names.empty() ? std::string_view() : names.back(); }
  std::vector<std::string> names, layers;
  std::vector<bool> writes;
};

struct Fixture : testing::Test {
  ThreadTeam team{2};
  CpuDevice device{team, Isa::scalar};
  Stream stream{device};
  HeapStore store{BufferKind::state, host_memory()};
  Tensor a = store.allocate(DType::f32, {100});
  Tensor b = store.allocate(DType::f32, {100});

  void add(float amount) {
    stream.launch(kAdd, {.items = kTokens}, {reads(a), writes(b)}, AddScalars{amount});
  }
};

TEST_F(Fixture, EagerLaunchRunsTheStepsItems) {
  stream.set_sizes({.tokens = 40, .seqs = 1});
  add(2);
  EXPECT_EQ(b.as<float>()[39], 2.0f);
  EXPECT_EQ(b.as<float>()[40], 0.0f);
}

TEST_F(Fixture, RecordingExecutesNothingAndSeesLayersAndAccess) {
  Recorder recorder;
  stream.set_sizes({.tokens = 40, .seqs = 1});
  stream.begin_recording(recorder);
  {
    const LayerScope scope("model.layers.3");
    add(2);
  }
  stream.copy(a, b);
  stream.end_recording();
  EXPECT_EQ(b.as<float>()[0], 0.0f);
  EXPECT_THAT(recorder.names, testing::ElementsAre("add_constant", "copy"));
  EXPECT_THAT(recorder.layers, testing::ElementsAre("model.layers.3", ""));
  EXPECT_TRUE(recorder.writes[0]);
}

TEST_F(Fixture, HostReadWhileRecordingIsRefusedByName) {
  Recorder recorder;
  stream.begin_recording(recorder);
  const LayerScope scope("model.layers.3");
  add(2);
  try {
    stream.read_back(b);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(),
                testing::AllOf(testing::HasSubstr("add_constant"), testing::HasSubstr("model.layers.3")));
  }
  stream.end_recording();
  EXPECT_NO_THROW(stream.read_back(b));
}

TEST_F(Fixture, WhatAKernelRaisesIsAnErrorOnce) {
  const Kernel raises{"raises", [](const KernelContext& context, int64_t, int64_t) {
                        context.raise(KernelStatus::index_out_of_range);
                      }};
  struct Nothing {};
  EXPECT_NO_THROW(stream.check_status());
  stream.launch(raises, {.items = 1}, {}, Nothing{});
  EXPECT_THROW(stream.check_status(), Error);
  EXPECT_NO_THROW(stream.check_status());
  stream.launch(raises, {.items = 1}, {}, Nothing{});
  stream.drop_status();
  EXPECT_NO_THROW(stream.check_status());
}

TEST_F(Fixture, CopyAndFillMoveEveryByte) {
  const Tensor from = store.allocate(DType::i8, {100'003});
  const Tensor to = store.allocate(DType::i8, {100'003});
  stream.fill_bytes(from, 0x5a);
  stream.copy(from, to);
  for (int64_t i = 0; i < 100'003; ++i) ASSERT_EQ(to.as<uint8_t>()[i], 0x5a);
}

TEST_F(Fixture, ProfilerSeesLaunches) {
  Profiler profiler;
  stream.set_profiler(&profiler);
  stream.set_sizes({.tokens = 4, .seqs = 4});
  add(1);
  ASSERT_EQ(profiler.events().size(), 1u);
  EXPECT_EQ(profiler.events()[0].name, "add_constant");
  EXPECT_EQ(profiler.events()[0].sizes.tokens, 4);
  EXPECT_THAT(profiler.summary(), testing::HasSubstr("add_constant"));
}

}  // namespace
}  // namespace reprise

// Every situation that breaks a capture, each brought about by a model made for it: its detector names op,
// layer and rule, and serving goes on with the same bits, split or uncaptured, and says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/capture_error.h"
#include "core/error.h"
#include "engine/kv/kv_store.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/step_verifier.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/probe_model.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

EngineConfig config_of(int level, bool capture, std::optional<std::vector<int64_t>> sizes = {}) {
  EngineConfig config = small_engine_config();
  config.graph = {
      .graph_opt_level = level, .use_cudagraph = capture, .cudagraph_capture_sizes = std::move(sizes)};
  config.graph.cudagraph_num_of_warmups = 1;
  config.graph.capture_before_ready = true;
  return config;
}

std::vector<Request> requests(int64_t count = 3) {
  std::vector<Request> list;
  for (int64_t i = 0; i < count; ++i)
    list.push_back(
        {small_prompt(3 + 5 * i, static_cast<uint32_t>(i)), {.max_tokens = 6 + static_cast<int>(i)}});
  return list;
}

std::vector<std::vector<int32_t>> tokens_of(const Results& results) {
  std::vector<std::vector<int32_t>> tokens;
  for (const auto& [key, collected] : results) tokens.push_back(collected.token_ids);
  return tokens;
}

std::vector<std::vector<int32_t>> tokens_of_model(const EngineConfig& config) {
  SmallEngine engine(config, DType::f32, Isa::scalar, 1, kProbeFamily);
  return tokens_of(engine.run(requests()));
}

// The step is replayed in two parts around the op, with the bits of the uncaptured model.
void expect_split(const ops::OpSchema& schema, ops::OpLaunch launch, const std::vector<std::string>& why) {
  register_probe(schema, launch);
  const auto expected = tokens_of_model(config_of(0, false));
  for (const int level : {0, 1})
    for (const auto& sizes :
         {std::optional<std::vector<int64_t>>(), std::optional(std::vector<int64_t>{1, 2, 8})}) {
      SCOPED_TRACE(fmt::format("{}, level {}, {}", schema.name, level, sizes ? "a list" : "one recording"));
      EngineConfig config = config_of(level, true, sizes);
      config.graph.verify = {.startup = true, .sample = 1};
      SmallEngine engine(config, DType::f32, Isa::scalar, 2, kProbeFamily);
      EXPECT_EQ(tokens_of(engine.run(requests())), expected);
      EXPECT_THAT(engine.engine.problems(), IsEmpty());
      EXPECT_EQ(engine.engine.verified().differing, 0) << engine.engine.verified().last;
      const GraphBackend& graph = engine.engine.graph();
      EXPECT_EQ(graph.stats().capture_failures, 0) << graph.stats().failure;
      EXPECT_GT(engine.engine.stats().steps.split, 3);
      EXPECT_EQ(graph.choose({.decode_tokens = 2}).mode, RunMode::split);
      ASSERT_THAT(graph.splits(), SizeIs(1));
      const Split split = graph.splits()[0];
      EXPECT_EQ(split.op, schema.name);
      EXPECT_EQ(split.layer, "probe");
      EXPECT_FALSE(split.asked_for);
      for (const std::string& part : why) EXPECT_THAT(split.why, HasSubstr(part));
    }
}

// What probes do before they launch.
void wait_for_all(const ops::OpCall&, Stream& stream) {
  stream.synchronize();
}
void read_input(const ops::OpCall& call, Stream& stream) {
  stream.read_back(call.input(0));
}
void allocate(const ops::OpCall&, Stream&) {
  HeapStore(BufferKind::state, host_memory()).allocate(DType::f32, {16});
}
void must_run_now(const ops::OpCall&, Stream& stream) {
  EXPECT_FALSE(stream.recording());
}

TEST(GraphDetectors, DataDependentControlFlow) {
  register_probe([](const Tensor& x, const models::ForwardInput&) {
    const Tensor doubled = ops::add(x, x);
    return reinterpret_cast<const float*>(ops::host_read(doubled))[0] > 0 ? doubled : x;
  });
  const auto expected = tokens_of_model(config_of(0, false));
  SmallEngine engine(config_of(0, true), DType::f32, Isa::scalar, 1, kProbeFamily);
  EXPECT_EQ(tokens_of(engine.run(requests())), expected);
  const StepCounts steps = engine.engine.stats().steps;
  EXPECT_EQ(steps.replayed, 0);
  EXPECT_GT(steps.not_replayed[static_cast<size_t>(NotReplayed::capture_failed)], 3);
  EXPECT_THAT(engine.engine.graph().stats().failure,
              AllOf(HasSubstr("host read"), HasSubstr("'add'"), HasSubstr("'probe'")));
  try {
    SmallEngine(config_of(1, false), DType::f32, Isa::scalar, 1, kProbeFamily);
    FAIL() << "level 1 needs a graph";
  } catch (const CaptureError& error) {
    EXPECT_EQ(error.rule(), CaptureRule::host_read);
    EXPECT_EQ(error.op(), "add");
    EXPECT_EQ(error.layer(), "probe");
  }
}

TEST(GraphDetectors, AnOpThatWaits) {
  static constexpr ops::OpSchema op = copying_op("test_waits");
  expect_split(op, {launch_copy<wait_for_all>}, {"synchronisation", "'test_waits'", "'probe'"});
}

TEST(GraphDetectors, AnOpThatReadsBack) {
  static constexpr ops::OpSchema op = copying_op("test_reads_back");
  expect_split(op, {launch_copy<read_input>}, {"host read", "'test_reads_back'", "'probe'"});
}

TEST(GraphDetectors, AnOpThatAllocates) {
  static constexpr ops::OpSchema op = copying_op("test_allocates");
  expect_split(op, {launch_copy<allocate>}, {"allocation", "'test_allocates'", "'probe'"});
}

TEST(GraphDetectors, AnOpThatSaysItCannotBeCaptured) {
  static constexpr ops::OpSchema op = copying_op("test_uncapturable", ops::OpKind::opaque, false);
  expect_split(op, {launch_copy<must_run_now>}, {"not capturable"});
}

TEST(GraphDetectors, ACollectiveThatCannotBeCaptured) {
  static constexpr ops::OpSchema op = copying_op("test_all_reduce", ops::OpKind::collective, false);
  expect_split(op, {launch_copy<must_run_now>},
               {"collective", "'test_all_reduce'", "'probe'", "communicator"});
}

// An op whose launch depends on what its input holds: x is copied as often as the first id says.
TEST(GraphDetectors, DynamicLaunch) {
  static constexpr std::string_view kInputs[] = {"x", "ids"};
  static constexpr ops::OpSchema op{.name = "test_dynamic",
                                    .kind = ops::OpKind::data_movement,
                                    .input_names = kInputs,
                                    .infer = [](const ops::OpCall& call, ops::OutputSpecs& outputs) {
                                      outputs.add(call.input(0).dtype, call.input(0).shape);
                                    }};
  ops::register_launch(op, DeviceKind::cpu,
                       {[](const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                           ops::WorkspaceAllocator&) {
                         const int32_t id = call.input(1).as<int32_t>()[0];
                         for (int32_t i = 0; i <= id % 3; ++i) stream.copy(call.input(0), outputs[0]);
                       }});
  register_probe([](const Tensor& x, const models::ForwardInput& input) {
    return ops::dispatch_one(ops::OpCall(op, {&x, &input.token_ids}));
  });
  for (const int level : {0, 1}) {
    EngineConfig config = config_of(level, true, std::vector<int64_t>{2});
    config.graph.verify.startup = true;
    SmallEngine engine(config, DType::f32, Isa::scalar, 1, kProbeFamily);
    ASSERT_THAT(engine.engine.problems(), SizeIs(1));
    EXPECT_THAT(engine.engine.problems()[0],
                AllOf(HasSubstr("dynamic launch"), HasSubstr("'test_dynamic'"), HasSubstr("'probe'")));
    EXPECT_FALSE(engine.engine.graph().choose({.decode_tokens = 2}).replayed()) << "it was given up";
  }
}

// The parts of a Runner, so that the test can move an input under a capture.
struct Bound {
  ThreadTeam team{1};
  TestDevice device{team, Isa::scalar};
  std::unique_ptr<const models::Model> model = small_model(team, device);
  EngineConfig config;
  StepLimits limits{.tokens = 64, .seqs = 16, .rows = 16};
  Stream stream{device};
  SampleBuffers samples{device.memory(), 16, 1, kSmallVocab};
  KvStore cache, moved_away;
  StepInputs inputs;
  GraphBackend backend;
  MemoryRange arena;

  explicit Bound(EngineConfig with)
      : config(std::move(with)),
        cache(device.memory(), model->config(), model->dtype(), config),
        moved_away(device.memory(), model->config(), model->dtype(), config),
        inputs(device.memory(), limits, cache.view()),
        backend(*model, EngineServices(device), stream, config, limits, inputs, samples),
        arena(device.memory(), backend.arena_bytes()) {
    cache.allocate(8);
    backend.start(arena.data());
    while (backend.capture_next()) {
    }
  }
  void run(int64_t captured_size) {
    const std::vector<int32_t> tokens{5};
    const BlockId block = 1;
    StepPlan step;
    step.add_sequence(tokens, 0, 1, {&block, 1});
    step.add_row({});
    inputs.fill(step);
    samples.fill(step);
    const StepShape shape{.decode_tokens = 1};
    StepPath path = backend.choose(shape);
    ASSERT_TRUE(path.replayed());
    path.captured_size = captured_size;
    backend.run(path, shape, nullptr);
  }
};

EngineConfig bound_config(int level, std::optional<std::vector<int64_t>> sizes) {
  EngineConfig config = config_of(level, true, std::move(sizes));
  config.max_num_batched_tokens = 64;
  return config;
}

TEST(GraphDetectors, AnInputThatMoved) {
  for (const int level : {0, 1}) {
    Bound bound(bound_config(level, {}));
    EXPECT_NO_THROW(bound.run(1));
    std::swap(bound.cache, bound.moved_away);
    bound.cache.allocate(8);
    try {
      bound.run(1);
      FAIL() << "a replay over a cache that moved";
    } catch (const CaptureError& error) {
      EXPECT_EQ(error.rule(), CaptureRule::address_changed);
      EXPECT_THAT(error.what(), HasSubstr("input 'keys.0'"));
      EXPECT_EQ(error.op(), level == 0 ? "kv_write" : "rotary_kv_write");
      EXPECT_EQ(error.layer(), "model.layers.0.self_attn");
    }
  }
}

TEST(GraphDetectors, AStepOfAnotherShape) {
  for (const bool list : {false, true}) {
    Bound bound(bound_config(1, list ? std::optional(std::vector<int64_t>{4}) : std::nullopt));
    EXPECT_NO_THROW(bound.run(list ? 4 : 3));
    try {
      bound.run(list ? 3 : 9);
      FAIL() << "a replay of sizes that were not captured";
    } catch (const CaptureError& error) {
      EXPECT_EQ(error.rule(), CaptureRule::shape_changed);
      EXPECT_THAT(error.what(),
                  HasSubstr(list ? "a step of T=3 S=3 R=3 where the recording serves T=4..4" : "T=9 S=9"));
      EXPECT_NE(error.op(), "");
    }
  }
}

}  // namespace
}  // namespace reprise::engine

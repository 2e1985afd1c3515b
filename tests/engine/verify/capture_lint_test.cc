// The two-capture diff catches what depends on data, in the model's code and in an op's launch, by name; and
// memory advice names only values that fit.
#include "engine/verify/capture_lint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/kv/kv_store.h"
#include "engine/runner/memory_advice.h"
#include "ops/elementwise.h"
#include "ops/launch_table.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using testing::HasSubstr;

enum class Breaks : uint8_t { nothing, code, launch, reads };

const int32_t* launch_looks_at = nullptr;

// An addition whose launch takes its scalar from an input of the step: frozen by a capture.
void launch_by_length(const ops::OpCall&, Stream& stream, std::span<const Tensor> outputs,
                      ops::WorkspaceAllocator&) {
  struct Scalars {
    int32_t length;
  };
  stream.launch({.name = "by_length", .run = [](const KernelContext&, int64_t, int64_t) {}}, {.items = 1},
                {writes(outputs[0])}, Scalars{launch_looks_at[0]});
}

const ops::OpSchema& by_length() {
  static const ops::OpSchema schema = [] {
    ops::OpSchema copy = ops::kAdd;
    copy.name = "by_length";
    copy.may_share = {};
    return copy;
  }();
  ops::register_launch(schema, DeviceKind::cpu, {launch_by_length});
  return schema;
}

// A sound model with one line too many.
class Broken final : public models::Model {
 public:
  Broken(std::unique_ptr<const models::Model> sound, Breaks breaks)
      : Model(sound->config(), sound->dtype()), sound_(std::move(sound)), breaks_(breaks) {}

  models::ForwardOutput forward(const models::ForwardInput& input) const override {
    models::ForwardOutput output = sound_->forward(input);
    const LayerScope layer("model.extra");
    launch_looks_at = input.positions.as<int32_t>();
    if (breaks_ == Breaks::code && launch_looks_at[0] > 10)
      output.logits = ops::add(output.logits, output.logits);
    if (breaks_ == Breaks::launch)
      output.logits = ops::dispatch_one(ops::OpCall(by_length(), {&output.logits, &output.logits}));
    if (breaks_ == Breaks::reads && ops::host_read(output.logits) != nullptr) return output;
    return output;
  }
  Tensor logits(const Tensor& hidden, const Tensor& rows) const override {
    return sound_->logits(hidden, rows);
  }

 private:
  std::unique_ptr<const models::Model> sound_;
  Breaks breaks_;
};

CaptureLint lint(Breaks breaks, const EngineConfig& config = small_engine_config()) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  const Broken model(models::model_skeleton(small_config(), DType::f32, device), breaks);
  return lint_capture(model, EngineServices(device), config.resolved());
}

TEST(CaptureLint, SoundModelsAreTheSameTwice) {
  for (const int64_t partition : {64, 32768}) {
    EngineConfig config = small_engine_config();
    config.max_partition_size = partition;  // 256 positions: one partition and four
    for (const int level : {0, 1}) {
      config.graph = {.graph_opt_level = level, .use_cudagraph = true};
      const CaptureLint found = lint(Breaks::nothing, config);
      EXPECT_EQ(found.untraceable, "");
      EXPECT_EQ(found.difference, "");
      EXPECT_TRUE(found.splits.empty());
      EXPECT_GT(found.launches, 10u);
    }
  }
}

// What docs/graph-optimization.md publishes: the launches of a layer in the middle, by family and level.
TEST(CaptureLint, LaunchesOfALayer) {
  const auto launches = [](const char* family, int64_t layers, int level) {
    weights::ModelConfig model_config = small_config(family);
    model_config.num_layers = layers;
    model_config.layer_has_window.resize(static_cast<size_t>(layers));
    ThreadTeam team(1);
    TestDevice device(team, Isa::scalar);
    EngineConfig config = small_engine_config();
    config.graph = {.graph_opt_level = level, .use_cudagraph = true};
    return lint_capture(*models::model_skeleton(model_config, DType::bf16, device), EngineServices(device),
                        config.resolved())
        .launches;
  };
  for (const char* family : {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM",
                             "Ernie4_5ForCausalLM"}) {
    SCOPED_TRACE(family);
    const size_t norms_of_heads = std::string_view(family).starts_with("Qwen3") ? 2 : 0;
    EXPECT_EQ(launches(family, 4, 0) - launches(family, 3, 0), 17 + norms_of_heads);
    EXPECT_EQ(launches(family, 4, 1) - launches(family, 3, 1), 9u);
  }
}

TEST(CaptureLint, CodeThatFollowsTheInputsIsFound) {
  EXPECT_THAT(lint(Breaks::code).difference, HasSubstr("add("));
}

TEST(CaptureLint, ALaunchThatFollowsTheInputsIsFoundByOpAndLayer) {
  const std::string found = lint(Breaks::launch).difference;
  EXPECT_THAT(found, HasSubstr("by_length"));
  EXPECT_THAT(found, HasSubstr("model.extra"));
  EXPECT_THAT(found, HasSubstr("scalars at byte 0"));
}

TEST(CaptureLint, CodeThatReadsAValueCannotBeTraced) {
  EXPECT_THAT(lint(Breaks::reads).untraceable, HasSubstr("host read"));
}

TEST(MemoryAdvice, TheMemoryThatItNamesIsTheLeastThatFits) {
  ThreadTeam team(1);
  TestDevice device(team, Isa::scalar);
  const auto model = models::model_skeleton(small_config(), DType::f32, device);
  const EngineConfig config = small_engine_config();
  constexpr size_t kMiB = size_t{1} << 20;
  EXPECT_FALSE(predict_memory(*model, EngineServices(device), config, 2 * kMiB).fits);
  const std::vector<std::string> advice = memory_advice(*model, EngineServices(device), config, 2 * kMiB);
  ASSERT_FALSE(advice.empty());
  unsigned long mebibytes = 0;
  ASSERT_EQ(std::sscanf(advice.back().c_str(), "give the process %lu MiB", &mebibytes), 1) << advice.back();
  EXPECT_TRUE(predict_memory(*model, EngineServices(device), config, mebibytes * kMiB).fits);
  EXPECT_FALSE(predict_memory(*model, EngineServices(device), config, (mebibytes - 1) * kMiB).fits);
}

TEST(MemoryPlan, SkeletonPlansWhatTheModelHolds) {
  SmallEngine real;
  const auto skeleton = models::model_skeleton(small_config(), DType::f32, real.device);
  const MemoryPrediction plan =
      predict_memory(*skeleton, EngineServices(real.device), small_engine_config(), size_t{1} << 30);
  EXPECT_TRUE(plan.fits);
  EXPECT_EQ(plan.report, real.engine.memory());
}

}  // namespace
}  // namespace reprise::engine

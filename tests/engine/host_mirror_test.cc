// The same engine on a device whose memory the host may not touch. Beside these tests the whole program runs
// on one, where REPRISE_TEST_DEVICE=mirror (CMakeLists.txt): its tests compare levels, captures and batches
// bit by bit.
#include "tests/device/host_mirror_device.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/host_mirror.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using Output = std::pair<std::vector<int32_t>, std::vector<float>>;  // tokens and log-probabilities

std::vector<Output> outputs_on(ThreadTeam& team, Device& device, const EngineConfig& config) {
  std::vector<Output> outputs(6);
  Engine engine(small_model(team, device), EngineServices(device), config, [&](const OutputEvent& event) {
    Output& output = outputs[event.request];
    output.first.insert(output.first.end(), event.token_ids.begin(), event.token_ids.end());
    for (const TokenScore& score : event.scores) output.second.push_back(score.logprob);
    for (const TokenScore& score : event.prompt_scores) output.second.push_back(score.logprob);
    EXPECT_EQ(event.error, "");
  });
  for (uint32_t i = 0; i < 6; ++i)
    engine.submit({.prompt_token_ids = small_prompt(5 + 9 * i, i),
                   .sampling = {.temperature = i % 2 == 0 ? 0.0f : 1.0f,
                                .repetition_penalty = i == 3 ? 1.3f : 1.0f,
                                .logit_bias = i == 5 ? std::vector<std::pair<int32_t, float>>{{7, 3.0f}}
                                                     : std::vector<std::pair<int32_t, float>>{},
                                .seed = i,
                                .max_tokens = 12,
                                .logprobs = 3,
                                .prompt_logprobs = i == 4 ? std::optional<int32_t>(2) : std::nullopt},
                   .token_mask = i == 2 ? TokenMask(a_third_of_the_ids) : nullptr});
  engine.run();
  return outputs;
}

TEST(HostMirrorEngine, ComputesTheBitsOfTheCpu) {
  ThreadTeam team(2);
  CpuDevice cpu(team, Isa::scalar);
  const std::vector<Output> expected = outputs_on(team, cpu, small_engine_config());
  for (const int level : {0, 1})
    for (const bool replay : {false, true})
      for (const bool split : {false, true}) {
        if (split && (!replay || level == 0)) continue;
        SCOPED_TRACE(fmt::format("level {}, replay {}, split {}", level, replay, split));
        EngineConfig config = small_engine_config();
        config.graph.graph_opt_level = level;
        config.graph.use_cudagraph = replay;
        config.graph.full_cuda_graph = !split;
        config.graph.verify = {.startup = replay, .sample = 3};
        HostMirrorDevice mirror(team, Isa::scalar);
        EXPECT_EQ(outputs_on(team, mirror, config), expected);
      }
}

TEST(HostMirrorEngine, AWholeStartIsCountedToTheByte) {
  ThreadTeam team(1);
  HostMirrorDevice mirror(team, Isa::scalar);
  Engine engine(small_model(team, mirror), mirror, small_engine_config(), [](const OutputEvent&) {});
  EXPECT_EQ(engine.planned_memory(), engine.memory());
}

TEST(HostMirrorEngineDeathTest, TheHostDiesWhereItTouchesTheMemory) {
  ThreadTeam team(1);
  HostMirrorDevice device(team, Isa::scalar);
  HeapStore store(BufferKind::input, device.memory());
  const Tensor tensor = store.allocate(DType::i32, {16});
  const HostMirror mirror(device.memory(), tensor, 64);
  mirror.as<int32_t>()[3] = 7;
  mirror.upload(0, 64);
  mirror.as<int32_t>()[3] = 0;
  mirror.download(0, 64);
  EXPECT_EQ(mirror.as<int32_t>()[3], 7);
  EXPECT_DEATH(tensor.as<int32_t>()[3] = 1, "");
}

}  // namespace
}  // namespace reprise::engine

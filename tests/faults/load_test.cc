// Every call for memory of a load and of an engine's start may be refused: the load ends with one error that
// says so, or it went without what it did not get and then computes the same bits.
#include <gtest/gtest.h>

#include "engine/replay/graph_backend.h"
#include "reprise/reprise.h"
#include "source_dir.h"
#include "tests/device/host_mirror_device.h"
#include "tests/engine/small_model.h"
#include "tests/faults/sweep.h"

namespace reprise {
namespace {

Prompt prompt() {
  Prompt prompt{.text = "It was a fine day"};
  prompt.sampling.temperature = 0;
  prompt.sampling.max_tokens = 5;
  prompt.sampling.ignore_eos = true;
  prompt.sampling.logprobs = 2;
  return prompt;
}

TEST(Faults, LoadOfAModel) {
  const LoadOptions options{.model = REPRISE_SOURCE_DIR "/models/tiny",
                            .threads = 2,
                            .max_model_len = 64,
                            .max_num_seqs = 2,
                            .max_num_batched_tokens = 64,
                            .num_gpu_blocks_override = 2,
                            .graph_optimization_config = R"({"graph_opt_level": 1, "use_cudagraph": true})",
                            .capture_before_ready = true};
  std::vector<int32_t> expected;
  sweep("load", 100, [&](int64_t at, bool all_after) {
    std::optional<LanguageModel> model;
    int64_t seen = 0;
    {
      const RefusedCalls refused(at, all_after, in_json_destructor);
      ends_well([&] { model.emplace(LanguageModel::load(options)); });
      seen = refused.seen();
    }
    if (!model) return seen;
    const Result result = model->generate({prompt()}, nullptr)[0];
    EXPECT_EQ(result.error, "");
    if (at < 0) expected = result.outputs[0].token_ids;
    EXPECT_EQ(result.outputs[0].token_ids, expected);
    return seen;
  });
}

}  // namespace

namespace engine {
namespace {

// Everything of a start that a configuration can switch on.
TEST(Faults, StartOfAnEngine) {
  EngineConfig config = small_engine_config();
  config.max_model_len = 64;
  config.max_num_seqs = 2;
  config.max_num_batched_tokens = 32;
  config.graph = {.graph_opt_level = 1, .use_cudagraph = true};
  config.graph.cudagraph_capture_sizes = std::vector<int64_t>{1, 2};
  config.graph.cudagraph_num_of_warmups = 1;
  config.graph.capture_before_ready = true;
  config.graph.verify.startup = true;
  const Request request{small_prompt(9), {.temperature = 1, .seed = 3, .max_tokens = 5}};
  for (const bool own_pools : {false, true}) {
    config.graph.use_unique_memory_pool = !own_pools;
    std::vector<int32_t> expected;
    sweep(own_pools ? "start, captures with own memory" : "start", 100, [&](int64_t at, bool all_after) {
      ThreadTeam team(2);
      TestDevice device(team, Isa::scalar);
      Collected collected;
      std::unique_ptr<const models::Model> model = small_model(team, device);
      std::unique_ptr<Engine> engine;
      int64_t seen = 0;
      {
        const RefusedCalls refused(at, all_after);
        ends_well([&] {
          engine = std::make_unique<Engine>(std::move(model), EngineServices(device), config,
                                            [&](const OutputEvent& event) { collected.take(event); });
        });
        seen = refused.seen();
      }
      if (engine == nullptr) return seen;
      for (const std::string& problem : engine->problems()) EXPECT_TRUE(says_memory(problem)) << problem;
      const GraphStats stats = engine->graph().stats();
      if (stats.capture_failures > 0) {
        EXPECT_TRUE(says_memory(stats.failure)) << stats.failure;
      }
      EXPECT_EQ(stats.pending, 0);
      engine->submit(request);
      engine->run();
      EXPECT_EQ(collected.error, "");
      if (at < 0) expected = collected.token_ids;
      EXPECT_EQ(collected.token_ids, expected);
      return seen;
    });
  }
}

}  // namespace
}  // namespace engine
}  // namespace reprise

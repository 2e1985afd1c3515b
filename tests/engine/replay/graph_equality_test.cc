// The contract of graph optimisation: tokens and log-probabilities are the same bits at every level, captured
// or not, on one recording or a list of padded ones, whatever the batch, the split, the memory pool, the
// partition size, preemption and chunks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/step_verifier.h"
#include "tests/engine/same_results.h"

namespace reprise::engine {
namespace {

std::vector<CaptureCase> cases() {
  std::vector<CaptureCase> all;
  for (const int level : {0, 1, 2})
    for (CaptureCase& one : capture_cases(level)) all.push_back(std::move(one));
  return all;
}

class GraphEquality : public testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(GraphEquality, LevelsCapturesAndBatches) {
  const auto& [architecture, dtype] = GetParam();
  const Isa isa = cpu::choose_isa(dtype, "auto");
  for (const int64_t batch : kBatches) {
    SmallEngine plain(capturing_config({}), dtype, isa, 2, architecture);
    const Results expected = plain.run(requests_for(batch));
    for (const CaptureCase& c : cases()) {
      SCOPED_TRACE(fmt::format("{}, batch {}", c.name, batch));
      SmallEngine engine(capturing_config(c.graph), dtype, isa, 2, architecture);
      ASSERT_NO_FATAL_FAILURE(expect_same(expected, engine.run(requests_for(batch))));
      const StepCounts steps = engine.engine.stats().steps;
      const bool replays =
          c.graph.use_cudagraph &&
          !(c.graph.cudagraph_capture_sizes && c.graph.cudagraph_capture_sizes->back() < batch) &&
          !(c.graph.cudagraph_only_prefill && batch > 3);
      if (replays) {
        EXPECT_GT(steps.replayed, 0);
      } else if (!c.graph.use_cudagraph) {
        EXPECT_EQ(steps.replayed, 0);
      }
      EXPECT_EQ(engine.engine.graph().stats().failure, "");
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GraphEquality,
                         testing::Combine(testing::ValuesIn(kFamilies),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param),
                                              name_of(std::get<1>(info.param)));
                         });

// Every way of running at once: few KV blocks (preemption), prompts in chunks of 16, partitions of 64 keys.
TEST(GraphEquality, PreemptionChunksAndPartitions) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Isa isa = cpu::choose_isa(dtype, "auto");
    EngineConfig plain = capturing_config({});
    plain.max_partition_size = 64;
    SmallEngine reference(plain, dtype, isa, 2, "Qwen3ForCausalLM");
    const std::vector<Request> requests = long_requests_for(40, 170, 60);
    const Results expected = reference.run(requests);
    for (CaptureCase& c : cases()) {
      SCOPED_TRACE(c.name);
      EngineConfig config = capturing_config(c.graph);
      config.max_partition_size = 64;
      config.max_num_batched_tokens = 64;
      config.max_num_partial_prefills = 4;
      config.num_gpu_blocks_override = 80;
      SmallEngine engine(config, dtype, isa, 2, "Qwen3ForCausalLM");
      ASSERT_NO_FATAL_FAILURE(expect_same(expected, engine.run(requests)));
      EXPECT_GT(engine.engine.stats().preemptions, 0);
      if (HasFailure()) return;
    }
  }
}

// 2,000 steps in which requests come and go at random: each ends as it does alone.
TEST(GraphEquality, RandomJoinsAndLeaves) {
  GraphConfig graph{.graph_opt_level = 1, .use_cudagraph = true};
  graph.cudagraph_capture_sizes = std::vector<int64_t>{1, 3, 5, 7, 9, 24, 64};
  for (const bool split : {false, true}) {
    graph.full_cuda_graph = !split;
    EngineConfig config = capturing_config(graph);
    config.num_gpu_blocks_override = 60;
    config.max_num_batched_tokens = 64;
    const Isa isa = cpu::choose_isa(DType::f32, "auto");
    SmallEngine engine(config, DType::f32, isa, 2);
    std::mt19937 random(7);
    std::vector<Request> sent;
    for (int step = 0; step < 2000; ++step) {
      if (random() % 6 == 0) {
        Request request{
            small_prompt(1 + static_cast<int64_t>(random() % 60), static_cast<uint32_t>(random() % 50)),
            {.temperature = static_cast<float>(random() % 2), .seed = random() % 9, .max_tokens = 30}};
        request.sampling.logprobs = 1;
        sent.push_back(request);
        engine.engine.submit(std::move(request));
      }
      engine.engine.step();
    }
    engine.engine.run();
    EXPECT_GT(engine.engine.stats().steps.replayed, 500);
    SmallEngine alone(capturing_config({}), DType::f32, isa, 1);
    for (size_t i = 0; i < sent.size(); i += 3) {
      const RequestId id = alone.engine.submit(sent[i]);
      alone.engine.run();
      SCOPED_TRACE(i);
      EXPECT_EQ(alone.results.at({id, 0}).token_ids, engine.results.at({i, 0}).token_ids);
      ASSERT_TRUE(same_scores(alone.results.at({id, 0}).scores, engine.results.at({i, 0}).scores));
    }
  }
}

TEST(GraphVerify, StartupFindsNothingAndPoisonStaysInThePadding) {
  for (CaptureCase& c : cases()) {
    SCOPED_TRACE(c.name);
    EngineConfig config = capturing_config(c.graph);
    config.graph.verify.startup = true;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      SmallEngine engine(config, dtype, cpu::choose_isa(dtype, "auto"), 2);
      EXPECT_THAT(engine.engine.problems(), testing::IsEmpty());
    }
  }
}

TEST(GraphVerify, SampledStepsAgree) {
  EngineConfig config = capturing_config({.graph_opt_level = 1, .use_cudagraph = true});
  config.graph.verify.sample = 1;
  SmallEngine engine(config, DType::bf16, cpu::choose_isa(DType::bf16, "auto"), 2);
  engine.run(requests_for(17));
  EXPECT_GT(engine.engine.verified().checked, 3);
  EXPECT_EQ(engine.engine.verified().differing, 0) << engine.engine.verified().last;
}

}  // namespace
}  // namespace reprise::engine

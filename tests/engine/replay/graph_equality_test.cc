// The contract of graph optimisation: tokens and log-probabilities are the same bits at every level, captured
// or not, on one recording or a list of padded ones, whatever the batch, the split, the memory pool, the
// partition size, preemption and chunks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "engine/replay/graph_backend.h"
#include "engine/verify/step_verifier.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

constexpr int64_t kSeqs = 64;

EngineConfig config_of(const GraphConfig& graph) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = kSeqs;
  config.graph = graph;
  config.graph.capture_before_ready = true;
  config.graph.cudagraph_num_of_warmups = 1;
  return config;
}

std::vector<Request> requests_for(int64_t batch) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < batch; ++i) {
    SamplingParams params{.temperature = i % 2 == 0 ? 0.0f : 1.0f, .seed = 100 + static_cast<uint64_t>(i)};
    params.max_tokens = 4 + static_cast<int>(i % 5);
    params.logprobs = 3;
    if (i % 7 == 3) params.prompt_logprobs = 2;
    requests.push_back({small_prompt(2 + (i * 11) % 45, static_cast<uint32_t>(i)), params});
  }
  return requests;
}

void expect_scores_equal(const std::vector<TokenScore>& a, const std::vector<TokenScore>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].token_id, b[i].token_id);
    EXPECT_EQ(std::memcmp(&a[i].logprob, &b[i].logprob, sizeof(float)), 0)
        << a[i].logprob << " " << b[i].logprob;
    ASSERT_EQ(a[i].top.size(), b[i].top.size());
    for (size_t k = 0; k < a[i].top.size(); ++k) {
      EXPECT_EQ(a[i].top[k].token_id, b[i].top[k].token_id);
      EXPECT_EQ(std::memcmp(&a[i].top[k].logprob, &b[i].top[k].logprob, sizeof(float)), 0);
    }
  }
}

void expect_equal(const Results& expected, const Results& found) {
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [key, want] : expected) {
    SCOPED_TRACE(fmt::format("request {}", key.first));
    const Collected& got = found.at(key);
    EXPECT_EQ(got.error, "");
    EXPECT_EQ(want.token_ids, got.token_ids);
    expect_scores_equal(want.scores, got.scores);
    expect_scores_equal(want.prompt_scores, got.prompt_scores);
    if (testing::Test::HasFailure()) return;
  }
}

struct Case {
  std::string name;
  GraphConfig graph;
};

std::vector<Case> cases() {
  const std::vector<int64_t> odd = {1, 3, 5, 7, 9};
  const std::vector<int64_t> standard = default_capture_sizes(kSeqs);
  std::vector<Case> list;
  for (const int level : {0, 1, 2}) {
    const std::string prefix = fmt::format("level {}, ", level);
    const GraphConfig base{.graph_opt_level = level, .use_cudagraph = true};
    list.push_back({prefix + "no capture", {.graph_opt_level = level}});
    list.push_back({prefix + "one recording", base});
    GraphConfig graph = base;
    graph.cudagraph_capture_sizes = odd;
    list.push_back({prefix + "list of odd sizes", graph});
    graph.use_unique_memory_pool = false;
    list.push_back({prefix + "list of odd sizes, private pools", graph});
    graph = base;
    graph.cudagraph_capture_sizes = standard;
    list.push_back({prefix + "default list", graph});
    graph = base;
    graph.cudagraph_only_prefill = true;
    list.push_back({prefix + "only prefill", graph});
    graph.cudagraph_capture_sizes_prefill = std::vector<int64_t>{8, 64, 512};
    list.push_back({prefix + "only prefill, list", graph});
    if (level == 0) continue;
    graph = base;
    graph.full_cuda_graph = false;
    list.push_back({prefix + "split", graph});
    graph.cudagraph_capture_sizes_prefill = std::vector<int64_t>{4, 32, 100, 512};
    graph.cudagraph_capture_sizes = standard;
    list.push_back({prefix + "split, lists", graph});
  }
  return list;
}

class GraphEquality : public testing::TestWithParam<std::tuple<const char*, DType>> {};

TEST_P(GraphEquality, LevelsCapturesAndBatches) {
  const auto& [architecture, dtype] = GetParam();
  const Isa isa = cpu::choose_isa(dtype, "auto");
  for (const int64_t batch : {1, 3, 8, 17, 64}) {
    SmallEngine plain(config_of({}), dtype, isa, 2, architecture);
    const Results expected = plain.run(requests_for(batch));
    for (const Case& c : cases()) {
      SCOPED_TRACE(fmt::format("{}, batch {}", c.name, batch));
      SmallEngine engine(config_of(c.graph), dtype, isa, 2, architecture);
      expect_equal(expected, engine.run(requests_for(batch)));
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
                         testing::Combine(testing::Values("LlamaForCausalLM", "MistralForCausalLM",
                                                          "Qwen2ForCausalLM", "Qwen3ForCausalLM",
                                                          "Ernie4_5ForCausalLM"),
                                          testing::Values(DType::f32, DType::bf16)),
                         [](const auto& info) {
                           return fmt::format("{}_{}", std::get<0>(info.param),
                                              name_of(std::get<1>(info.param)));
                         });

// Every way of running at once: few KV blocks (preemption), prompts in chunks of 16, partitions of 64 keys.
TEST(GraphEquality, PreemptionChunksAndPartitions) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Isa isa = cpu::choose_isa(dtype, "auto");
    EngineConfig plain = config_of({});
    plain.max_partition_size = 64;
    SmallEngine reference(plain, dtype, isa, 2, "Qwen3ForCausalLM");
    std::vector<Request> requests = requests_for(40);
    for (size_t i = 0; i < requests.size(); ++i) {
      requests[i].prompt_token_ids =
          small_prompt(20 + static_cast<int64_t>(i * 29 % 150), static_cast<uint32_t>(i));
      requests[i].sampling.max_tokens = 60;
    }
    const Results expected = reference.run(requests);
    for (Case& c : cases()) {
      SCOPED_TRACE(c.name);
      EngineConfig config = config_of(c.graph);
      config.max_partition_size = 64;
      config.max_num_batched_tokens = 64;
      config.max_num_partial_prefills = 4;
      config.num_gpu_blocks_override = 80;
      SmallEngine engine(config, dtype, isa, 2, "Qwen3ForCausalLM");
      expect_equal(expected, engine.run(requests));
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
    EngineConfig config = config_of(graph);
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
    SmallEngine alone(config_of({}), DType::f32, isa, 1);
    for (size_t i = 0; i < sent.size(); i += 3) {
      const RequestId id = alone.engine.submit(sent[i]);
      alone.engine.run();
      SCOPED_TRACE(i);
      EXPECT_EQ(alone.results.at({id, 0}).token_ids, engine.results.at({i, 0}).token_ids);
      expect_scores_equal(alone.results.at({id, 0}).scores, engine.results.at({i, 0}).scores);
      if (HasFailure()) return;
    }
  }
}

TEST(GraphVerify, StartupFindsNothingAndPoisonStaysInThePadding) {
  for (Case& c : cases()) {
    SCOPED_TRACE(c.name);
    EngineConfig config = config_of(c.graph);
    config.graph.verify.startup = true;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      SmallEngine engine(config, dtype, cpu::choose_isa(dtype, "auto"), 2);
      EXPECT_THAT(engine.engine.problems(), testing::IsEmpty());
    }
  }
}

TEST(GraphVerify, SampledStepsAgree) {
  EngineConfig config = config_of({.graph_opt_level = 1, .use_cudagraph = true});
  config.graph.verify.sample = 1;
  SmallEngine engine(config, DType::bf16, cpu::choose_isa(DType::bf16, "auto"), 2);
  engine.run(requests_for(17));
  EXPECT_GT(engine.engine.verified().checked, 3);
  EXPECT_EQ(engine.engine.verified().differing, 0) << engine.engine.verified().last;
}

}  // namespace
}  // namespace reprise::engine

// The contract of the engine: tokens and log-probabilities of a request are the same bits alone and in a
// crowd, with its prompt in one piece or in chunks, preempted or not, with one thread or two, at every ISA
// level of this machine.
#include <gtest/gtest.h>

#include <tuple>

#include "device/cpu/isa_select.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

// Mixed lengths and ways of sampling, as a crowd has them.
std::vector<Request> crowd(int count) {
  std::vector<Request> out;
  for (int i = 0; i < count; ++i) {
    Request request{small_prompt(1 + (i * 37) % 90, static_cast<uint32_t>(i)),
                    {.temperature = i % 3 == 0 ? 0.0f : 1.2f,
                     .seed = 1000 + static_cast<uint64_t>(i),
                     .max_tokens = 6 + (i * 13) % 20,
                     .logprobs = 4}};
    if (i % 3 == 2) request.sampling.top_p = 0.8f;
    if (i % 5 == 1) request.sampling.top_k = 30;
    if (i % 7 == 3) request.sampling.repetition_penalty = 1.3f;
    if (i % 6 == 3) request.token_mask = a_third_of_the_ids;
    if (i % 11 == 4) request.sampling.prompt_logprobs = 2;
    out.push_back(std::move(request));
  }
  return out;
}

void expect_same(const std::vector<TokenScore>& a, const std::vector<TokenScore>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].logprob, b[i].logprob) << what << ' ' << i;
    ASSERT_EQ(a[i].top.size(), b[i].top.size());
    for (size_t k = 0; k < a[i].top.size(); ++k) {
      ASSERT_EQ(a[i].top[k].token_id, b[i].top[k].token_id) << what << ' ' << i;
      ASSERT_EQ(a[i].top[k].logprob, b[i].top[k].logprob) << what << ' ' << i;
    }
  }
}

void expect_same(const Collected& a, const Collected& b) {
  ASSERT_EQ(a.error, "");
  ASSERT_EQ(b.error, "");
  ASSERT_EQ(a.token_ids, b.token_ids);
  ASSERT_EQ(a.finish_reason, b.finish_reason);
  expect_same(a.scores, b.scores, "log-probability");
  expect_same(a.prompt_scores, b.prompt_scores, "prompt log-probability");
}

using Case = std::tuple<Isa, DType, const char*>;

class Invariance : public testing::TestWithParam<Case> {
 protected:
  Results run(const EngineConfig& config, int threads, std::vector<Request> requests) {
    const auto& [isa, dtype, architecture] = GetParam();
    SmallEngine small(config, dtype, isa, threads, architecture);
    Results results = small.run(std::move(requests));
    preemptions = small.engine.stats().preemptions;
    return results;
  }
  int64_t preemptions = 0;
};

TEST_P(Invariance, AloneInACrowdChunkedPreemptedWithAnyThreads) {
  // The scalar level calculates each fused multiply-add in software: a smaller crowd.
  const int count = std::get<Isa>(GetParam()) == Isa::scalar ? 12 : 64;
  EngineConfig wide = small_engine_config();
  wide.max_num_seqs = count;
  const Results together = run(wide, 2, crowd(count));
  ASSERT_EQ(together.size(), static_cast<size_t>(count));
  EXPECT_EQ(preemptions, 0);

  // Some of the crowd, each in an engine that has seen nothing else.
  for (int i : {0, 1, 2, 10, 15, 33, 63}) {
    if (i >= count) break;
    SCOPED_TRACE("alone: request " + std::to_string(i));
    const Results alone = run(small_engine_config(), 1, {crowd(count)[static_cast<size_t>(i)]});
    ASSERT_NO_FATAL_FAILURE(expect_same(alone.at({0, 0}), together.at({static_cast<RequestId>(i), 0})));
  }
  const auto compare = [&](const char* how, const EngineConfig& config, int threads) {
    SCOPED_TRACE(how);
    const Results other = run(config, threads, crowd(count));
    for (const auto& [key, result] : together) {
      SCOPED_TRACE("request " + std::to_string(key.first));
      ASSERT_NO_FATAL_FAILURE(expect_same(other.at(key), result));
    }
  };
  EngineConfig chunked = small_engine_config();
  chunked.max_num_batched_tokens = 16;
  compare("chunks of 16, 8 at a time, one thread", chunked, 1);
  EngineConfig scarce = small_engine_config();
  scarce.num_gpu_blocks_override = count < 64 ? 14 : 20;
  scarce.max_num_seqs = 16;
  compare("too few blocks for all", scarce, 2);
  EXPECT_GT(preemptions, 0) << "this configuration is meant to preempt";
}

// The same contract for each way of running a step: level 1, replay, a capture list, split mode.
TEST(InvarianceOfWays, AloneInACrowdChunkedAndPreempted) {
  const Isa isa = cpu::available_isas().back();
  constexpr int kCount = 12;
  Results reference;
  for (const Way& way : ways_to_run()) {
    SCOPED_TRACE(way.name);
    EngineConfig plain = small_engine_config();
    plain.graph = way.graph;
    EngineConfig before_ready = plain, chunked = plain, scarce = plain;
    before_ready.graph.capture_before_ready = true;
    chunked.max_num_batched_tokens = 16;
    scarce.num_gpu_blocks_override = 14;
    for (const EngineConfig& config : {plain, before_ready, chunked, scarce})
      for (const int threads : {1, 2}) {
        SmallEngine small(config, DType::bf16, isa, threads);
        const Results found = small.run(crowd(kCount));
        if (reference.empty()) reference = found;
        for (const auto& [key, result] : reference) {
          SCOPED_TRACE("request " + std::to_string(key.first));
          ASSERT_NO_FATAL_FAILURE(expect_same(found.at(key), result));
        }
        if (way.decode_is_replayed) {
          EXPECT_GT(small.engine.stats().steps.replayed, 0);
        }
        if (!way.graph.full_cuda_graph) {
          EXPECT_GT(small.engine.stats().steps.split, 0);
        }
        if (config.num_gpu_blocks_override.has_value()) {
          EXPECT_GT(small.engine.stats().preemptions, 0);
        }
      }
    for (const int i : {0, 2, 4, 10}) {
      SmallEngine alone(plain, DType::bf16, isa);
      const Results found = alone.run({crowd(kCount)[static_cast<size_t>(i)]});
      ASSERT_NO_FATAL_FAILURE(expect_same(found.at({0, 0}), reference.at({static_cast<RequestId>(i), 0})));
    }
  }
}

// Bits do depend on the partition size, where a sequence is longer than a partition; at one size they are the
// same in every batch, chunk, level and replay.
TEST(InvarianceOfWays, ThePartitionSizeIsPartOfTheContract) {
  for (const Isa isa : cpu::available_isas()) {
    SCOPED_TRACE(name_of(isa));
    const auto scores_at = [&](int64_t partition, const GraphConfig& graph, int64_t batched, int crowd_size,
                               int threads = 1) {
      EngineConfig config = small_engine_config();
      config.max_partition_size = partition;
      config.max_num_batched_tokens = batched;
      config.graph = graph;
      SmallEngine small(config, DType::f32, isa, threads);
      std::vector<Request> requests = {
          {small_prompt(200), {.temperature = 0, .max_tokens = 6, .logprobs = 3}}};
      for (int i = 0; i < crowd_size; ++i)
        requests.push_back({small_prompt(20 + i, 5), {.temperature = 1, .max_tokens = 9}});
      return small.run(requests).at({0, 0});
    };
    const Collected small_partitions = scores_at(64, {}, 256, 0);
    const Collected one_partition = scores_at(32768, {}, 256, 0);
    bool differs = false;
    for (size_t i = 0; i < small_partitions.scores.size(); ++i)
      differs = differs || small_partitions.scores[i].logprob != one_partition.scores[i].logprob;
    EXPECT_TRUE(differs) << "then the contract need not name it";
    for (const int64_t partition : {64, 32768}) {
      const Collected& expected = partition == 64 ? small_partitions : one_partition;
      for (const Way& way : ways_to_run()) {
        SCOPED_TRACE(way.name);
        ASSERT_NO_FATAL_FAILURE(expect_same(scores_at(partition, way.graph, 256, 0), expected));
        if (isa == Isa::scalar && way.graph.graph_opt_level == 1) continue;  // slow, and level 0 is not
        ASSERT_NO_FATAL_FAILURE(expect_same(scores_at(partition, way.graph, 32, 4, 4), expected));
      }
    }
  }
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  const auto& [isa, dtype, architecture] = info.param;
  return std::string(name_of(isa)) + "_" + std::string(name_of(dtype)) + "_" + architecture;
}

INSTANTIATE_TEST_SUITE_P(Levels, Invariance,
                         testing::Combine(testing::ValuesIn(cpu::available_isas()),
                                          testing::Values(DType::f32, DType::bf16),
                                          testing::Values("LlamaForCausalLM", "Qwen3ForCausalLM")),
                         case_name);

}  // namespace
}  // namespace reprise::engine

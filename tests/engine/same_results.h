// What the tests of graph optimisation share: every family, every way to capture, batches of requests, and the comparison of
// what came out of two engines, by bits.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/engine/small_model.h"

namespace reprise::engine {

inline constexpr const char* kFamilies[] = {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM",
                                            "Qwen3ForCausalLM", "Ernie4_5ForCausalLM"};

// Batches that these tests run, of at most kSeqs.
inline constexpr int64_t kBatches[] = {1, 3, 8, 17, 64};
inline constexpr int64_t kSeqs = 64;

struct CaptureCase {
  std::string name;
  GraphConfig graph;
};

inline std::vector<CaptureCase> capture_cases(int level) {
  const std::vector<int64_t> odd = {1, 3, 5, 7, 9};
  const std::vector<int64_t> standard = default_capture_sizes(kSeqs);
  const std::string prefix = fmt::format("level {}, ", level);
  const GraphConfig base{.graph_opt_level = level, .use_cudagraph = true};
  std::vector<CaptureCase> list;
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
  if (level == 0) return list;  // which refuses to be split
  graph = base;
  graph.full_cuda_graph = false;
  list.push_back({prefix + "split", graph});
  graph.cudagraph_capture_sizes_prefill = std::vector<int64_t>{4, 32, 100, 512};
  graph.cudagraph_capture_sizes = standard;
  list.push_back({prefix + "split, lists", graph});
  return list;
}

// Everything is captured before the first request.
inline EngineConfig capturing_config(const GraphConfig& graph, int64_t max_num_seqs = kSeqs) {
  EngineConfig config = small_engine_config();
  config.max_num_seqs = max_num_seqs;
  config.graph = graph;
  config.graph.capture_before_ready = true;
  config.graph.cudagraph_num_of_warmups = 1;
  return config;
}

// Prompts and outputs of different lengths, greedy and sampled, some with scores of their prompts.
inline std::vector<Request> requests_for(int64_t batch) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < batch; ++i) {
    SamplingParams params{.temperature = i % 2 == 0 ? 0.0f : 1.0f, .seed = 100 + static_cast<uint64_t>(i)};
    params.max_tokens = 4 + static_cast<int>(i % 5);
    params.logprobs = 3;
    if (i % 7 == 3) params.prompt_logprobs = 2;
    requests.push_back({small_prompt(2 + (i * 11) % 45, static_cast<uint32_t>(i)), params});
    if (i % 5 == 2) requests.back().token_mask = a_third_of_the_ids;
  }
  return requests;
}

// Longer ones, for engines that have few blocks and cut prompts into chunks.
inline std::vector<Request> long_requests_for(int64_t batch, int64_t longest_prompt, int max_tokens) {
  std::vector<Request> requests = requests_for(batch);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt_token_ids =
        small_prompt(10 + static_cast<int64_t>(i) * 29 % (longest_prompt - 10), static_cast<uint32_t>(i));
    requests[i].sampling.max_tokens = max_tokens;
  }
  return requests;
}

inline bool same_scores(const std::vector<TokenScore>& a, const std::vector<TokenScore>& b) {
  const auto same = [](float x, float y) { return std::memcmp(&x, &y, sizeof(float)) == 0; };
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].token_id != b[i].token_id || !same(a[i].logprob, b[i].logprob) || !std::isfinite(a[i].logprob) ||
        a[i].top.size() != b[i].top.size())
      return false;
    for (size_t k = 0; k < a[i].top.size(); ++k)
      if (a[i].top[k].token_id != b[i].top[k].token_id || !same(a[i].top[k].logprob, b[i].top[k].logprob))
        return false;
  }
  return true;
}

inline void expect_same(const Results& expected, const Results& found) {
  ASSERT_EQ(expected.size(), found.size());
  for (const auto& [key, want] : expected) {
    SCOPED_TRACE(fmt::format("request {}", key.first));
    const Collected& got = found.at(key);
    ASSERT_EQ(got.error, "");
    ASSERT_EQ(want.token_ids, got.token_ids);
    ASSERT_TRUE(same_scores(want.scores, got.scores));
    ASSERT_TRUE(same_scores(want.prompt_scores, got.prompt_scores));
  }
}

}  // namespace reprise::engine

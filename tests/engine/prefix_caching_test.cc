// The prefix cache changes no bit of any reply: whatever was found, evicted or shared.
#include <gtest/gtest.h>

#include "device/cpu/isa_select.h"
#include "tests/engine/same_results.h"
#include "tests/engine/ways_to_run.h"

namespace reprise::engine {
namespace {

// Prompts that share beginnings of many lengths with those before them, some to the last token.
std::vector<Request> family_of_prompts(int count) {
  std::vector<Request> out;
  for (int i = 0; i < count; ++i) {
    std::vector<int32_t> prompt = small_prompt(16 + (i * 23) % 120, static_cast<uint32_t>(i % 3));
    if (i % 4 != 0) {
      const std::vector<int32_t> own = small_prompt(1 + i % 40, static_cast<uint32_t>(100 + i));
      prompt.insert(prompt.end(), own.begin(), own.end());
    }
    Request request{std::move(prompt),
                    {.temperature = i % 2 == 0 ? 0.0f : 1.0f,
                     .seed = 50 + static_cast<uint64_t>(i),
                     .max_tokens = 3 + (i * 7) % 30,
                     .n = i % 5 == 2 ? 3 : 1,
                     .logprobs = 2}};
    if (i % 6 == 1) request.sampling.prompt_logprobs = 1;
    if (i % 7 == 3) request.cache_salt = "salt";
    out.push_back(std::move(request));
  }
  return out;
}

EngineConfig config_with(bool caching) {
  EngineConfig config = small_engine_config();
  config.enable_prefix_caching = caching;
  return config;
}

// The results of requests that were submitted from number `first` on, as if they were the first.
Results from(RequestId first, const Results& all) {
  Results out;
  for (const auto& [key, result] : all)
    if (key.first >= first) out[{key.first - first, key.second}] = result;
  return out;
}

TEST(PrefixCaching, ChangesNoBitHoweverStepsRun) {
  constexpr int kCount = 16;
  const Isa isa = cpu::available_isas().back();
  SmallEngine without(config_with(false), DType::bf16, isa);
  const Results expected = without.run(family_of_prompts(kCount));
  EXPECT_EQ(without.engine.stats().prefix_requests, 0);
  for (const Way& way : ways_to_run()) {
    // Room for all, and so little that blocks are evicted and sequences preempted.
    for (const auto& [blocks, batched] : {std::pair<int64_t, int64_t>{0, 512}, {14, 24}}) {
      SCOPED_TRACE(way.name + ", blocks " + std::to_string(blocks));
      EngineConfig config = config_with(true);
      config.graph = way.graph;
      config.max_num_batched_tokens = batched;
      if (blocks > 0) config.num_gpu_blocks_override = blocks;
      SmallEngine small(config, DType::bf16, isa, 2);
      ASSERT_NO_FATAL_FAILURE(expect_same(expected, small.run(family_of_prompts(kCount))));
      const int64_t first_hits = small.engine.stats().prefix_hit_tokens;
      EXPECT_GT(first_hits, 0);
      ASSERT_NO_FATAL_FAILURE(expect_same(expected, from(kCount, small.run(family_of_prompts(kCount)))));
      EXPECT_GT(small.engine.stats().prefix_hit_tokens, first_hits);
      if (blocks == 14) {
        EXPECT_GT(small.engine.stats().preemptions, 0);
      }
      EXPECT_EQ(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
    }
  }
}

TEST(PrefixCaching, AllButTheLastTokenOfAPromptIsFoundAgain) {
  SmallEngine small;
  std::vector<int64_t> cached;
  small.on_event = [&](const OutputEvent& event) {
    if (event.finished()) cached.push_back(event.cached_tokens);
  };
  const auto ask = [&](int64_t length, const char* salt = "", std::optional<int32_t> prompt_logprobs = {}) {
    Request request{small_prompt(length), {.temperature = 0, .max_tokens = 2}, salt};
    request.sampling.prompt_logprobs = prompt_logprobs;
    small.run({request});
    return cached.back();
  };
  EXPECT_EQ(ask(64), 0);
  EXPECT_EQ(ask(64), 48) << "the block of the last token is computed again, since its logits are wanted";
  EXPECT_EQ(ask(65), 64);
  EXPECT_EQ(ask(80), 64);
  EXPECT_EQ(ask(15), 0) << "no full block";
  EXPECT_EQ(ask(80, "", 0), 0) << "scores of the prompt need its logits";
  EXPECT_EQ(ask(80, "one"), 0);
  EXPECT_EQ(ask(80, "one"), 64);
  EXPECT_EQ(ask(80, "other"), 0);
  const int64_t computed = small.engine.stats().prompt_tokens;
  EXPECT_EQ(ask(80), 64);
  EXPECT_EQ(small.engine.stats().prompt_tokens, computed + 16);
}

TEST(PrefixCaching, WhatAnOutputSaidIsFoundByTheNextTurn) {
  SmallEngine small;
  std::vector<int32_t> conversation = small_prompt(20);
  small.run({{conversation, {.temperature = 0, .max_tokens = 30}}});
  const std::vector<int32_t>& said = small.results.at({0, 0}).token_ids;
  conversation.insert(conversation.end(), said.begin(), said.end());
  int64_t cached = 0;
  small.on_event = [&](const OutputEvent& event) { cached = event.cached_tokens; };
  conversation.push_back(1);
  small.run({{conversation, {.temperature = 0, .max_tokens = 2}}});
  EXPECT_EQ(cached, 48) << "of 20 + 30 tokens, the last of which was never computed";
}

// Those of one request, and those of many that came at once.
TEST(PrefixCaching, OutputsShareTheBlocksOfTheirPrompt) {
  EngineConfig config = config_with(true);
  config.max_num_seqs = 64;
  for (const bool one_request : {true, false}) {
    SCOPED_TRACE(one_request);
    SmallEngine small(config, DType::f32, cpu::available_isas().back());
    std::vector<Request> requests(one_request ? 1 : 64,
                                  {small_prompt(100), {.max_tokens = 40, .n = one_request ? 64 : 1}});
    for (Request& request : requests) small.engine.submit(request);
    while (small.engine.stats().running < 64) ASSERT_TRUE(small.engine.step());
    const int64_t used = small.engine.memory().num_kv_blocks - small.engine.stats().free_blocks;
    EXPECT_LE(used, 6 + 64 * 2) << "6 full blocks of the prompt once, the rest by each";
    small.engine.run();
    if (one_request) {
      EXPECT_LE(small.engine.stats().prompt_tokens, 100 + 63 * 4);
    }
  }
}

TEST(PrefixCaching, ARequestThatIsAbortedOrFailsLeavesNothingWrong) {
  const Isa isa = cpu::available_isas().back();
  SmallEngine without(config_with(false), DType::f32, isa);
  const Results expected = without.run(family_of_prompts(8));
  EngineConfig config = config_with(true);
  config.max_num_batched_tokens = 24;
  config.num_gpu_blocks_override = 20;
  SmallEngine small(config, DType::f32, isa);
  for (int round = 0; round < 30; ++round) {
    std::vector<RequestId> ids;
    for (Request& request : family_of_prompts(8)) ids.push_back(small.engine.submit(request));
    for (int step = 0; step <= round; ++step) small.engine.step();
    for (const RequestId id : ids) small.engine.abort(id);
    small.engine.run();
    ASSERT_EQ(small.engine.stats().free_blocks, 20);
  }
  const RequestId first = small.engine.submit(family_of_prompts(8)[0]);
  small.engine.run();
  small.results.clear();
  ASSERT_NO_FATAL_FAILURE(expect_same(expected, from(first + 1, small.run(family_of_prompts(8)))));
}

TEST(PrefixCaching, ASystemPromptIsStoredOnceForAllWhoCameAtOnce) {
  constexpr int64_t kClients = 64, kSystem = 112, kOwn = 20, kBlock = 16;
  EngineConfig config = config_with(true);
  config.max_num_seqs = kClients;
  config.num_gpu_blocks_override = 700;
  config.max_num_partial_prefills = 4;
  SmallEngine small(config);
  for (uint32_t i = 0; i < kClients; ++i) {
    std::vector<int32_t> prompt = small_prompt(kSystem);
    const std::vector<int32_t> own = small_prompt(kOwn, 1 + i);
    prompt.insert(prompt.end(), own.begin(), own.end());
    small.engine.submit({std::move(prompt), {.temperature = 0, .max_tokens = 60}});
  }
  while (small.engine.stats().running < kClients || small.engine.stats().generated_tokens < 2 * kClients)
    ASSERT_TRUE(small.engine.step());
  const EngineStats stats = small.engine.stats();
  ASSERT_EQ(stats.running, kClients);
  const int64_t own_blocks = (kOwn + 60 + kBlock - 1) / kBlock;
  EXPECT_LE(700 - stats.free_blocks, kSystem / kBlock + kClients * own_blocks);
  // Computed by those few who came into the first step together, and found by all others.
  EXPECT_GE(stats.prefix_hits, kClients - 8);
}

TEST(PrefixCaching, ASaltThatIsTooLongIsRefused) {
  SmallEngine small;
  small.run({{small_prompt(5), {.max_tokens = 1}, std::string(257, 'x')},
             {small_prompt(5), {.max_tokens = 1}, std::string(256, 'x')}});
  EXPECT_NE(small.results.at({0, 0}).error.find("257 bytes, expected at most 256"), std::string::npos);
  EXPECT_EQ(small.results.at({1, 0}).error, "");
}

}  // namespace
}  // namespace reprise::engine

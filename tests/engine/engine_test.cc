// The engine on a small random model: how requests begin, go on and end.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/profiler.h"
#include "tests/engine/small_model.h"

namespace reprise::engine {
namespace {

using testing::AllOf;
using testing::HasSubstr;

SamplingParams greedy(int32_t max_tokens) {
  return {.temperature = 0, .max_tokens = max_tokens};
}

TEST(Engine, GeneratesUntilMaxTokens) {
  SmallEngine small;
  const Collected& got = small.run({{small_prompt(20), greedy(12)}})[{0, 0}];
  EXPECT_EQ(got.finish_reason, FinishReason::length);
  EXPECT_EQ(got.token_ids.size(), 12u);
  for (int32_t id : got.token_ids) EXPECT_TRUE(id >= 0 && id < kSmallVocab);
  EXPECT_EQ(got.metrics.prompt_tokens, 20);
  EXPECT_EQ(got.metrics.output_tokens, 12);
  EXPECT_EQ(got.metrics.steps.total(), 12);
  EXPECT_EQ(got.metrics.steps.not_replayed[static_cast<size_t>(NotReplayed::cudagraph_off)], 12);
  EXPECT_GT(got.metrics.time_to_first_token_s, 0);
  EXPECT_GT(got.metrics.decode_tokens_per_s, 0);
  EXPECT_TRUE(small.engine.idle());
  EXPECT_EQ(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
  EXPECT_EQ(small.engine.stats().generated_tokens, 12);
}

TEST(Engine, EndsAtMaxModelLen) {
  EngineConfig config = small_engine_config();
  config.max_model_len = 40;
  SmallEngine small(config);
  const Collected& got = small.run({{small_prompt(30), {.temperature = 0}}})[{0, 0}];
  EXPECT_EQ(got.finish_reason, FinishReason::length);
  EXPECT_EQ(got.token_ids.size(), 10u);
}

TEST(Engine, StopsAtEndOfTextAndStopIds) {
  std::vector<int32_t> free_run;
  {
    SmallEngine small;
    free_run = small.run({{small_prompt(9), greedy(16)}})[{0, 0}].token_ids;
  }
  // The first token that the run has not had before, so that it ends there and not earlier.
  size_t at = 3;
  while (std::find(free_run.begin(), free_run.begin() + static_cast<std::ptrdiff_t>(at), free_run[at]) !=
         free_run.begin() + static_cast<std::ptrdiff_t>(at))
    ASSERT_LT(++at, free_run.size()) << "the model repeats itself from the start";
  EngineConfig config = small_engine_config();
  config.eos_token_ids = {free_run[at]};
  SmallEngine small(config);
  SamplingParams ignoring = greedy(16), longer = greedy(16), own = greedy(16);
  ignoring.ignore_eos = true;
  longer.min_tokens = static_cast<int32_t>(at) + 2;
  own.ignore_eos = true;
  own.stop_token_ids = {free_run[at]};
  Results& results = small.run({{small_prompt(9), greedy(16)},
                                {small_prompt(9), ignoring},
                                {small_prompt(9), longer},
                                {small_prompt(9), own}});
  EXPECT_EQ((results[{0, 0}].token_ids.size()), at + 1);
  EXPECT_EQ((results[{0, 0}].token_ids.back()), free_run[at]) << "the ending id is part of the output";
  EXPECT_EQ((results[{0, 0}].finish_reason), FinishReason::stop);
  EXPECT_EQ((results[{1, 0}].token_ids), free_run);
  EXPECT_GE((results[{2, 0}].token_ids.size()), at + 2);
  EXPECT_NE((results[{2, 0}].token_ids[at]), free_run[at]) << "masked before min_tokens";
  EXPECT_EQ((results[{3, 0}].token_ids.size()), at + 1);
  EXPECT_EQ((results[{3, 0}].finish_reason), FinishReason::stop);
}

TEST(Engine, ABadRequestIsAResultAndHarmsNobody) {
  SmallEngine small;
  SamplingParams negative = greedy(4);
  negative.temperature = -1;
  negative.n = 2;
  Results& results = small.run({{{}, greedy(4)},
                                {small_prompt(256), greedy(4)},
                                {{1, 2, kSmallVocab}, greedy(4)},
                                {small_prompt(5), negative},
                                {small_prompt(255), greedy(4)}});
  EXPECT_THAT((results[{0, 0}].error), HasSubstr("no tokens"));
  EXPECT_THAT((results[{1, 0}].error),
              AllOf(HasSubstr("256"), HasSubstr("255"), HasSubstr("--max-model-len")));
  EXPECT_THAT((results[{2, 0}].error), AllOf(HasSubstr("503"), HasSubstr("502")));
  EXPECT_THAT((results[{3, 0}].error), HasSubstr("temperature"));
  EXPECT_THAT((results[{3, 1}].error), HasSubstr("temperature"));
  EXPECT_EQ((results[{3, 0}].finish_reason), FinishReason::error);
  EXPECT_EQ((results[{4, 0}].token_ids.size()), 1u);
  EXPECT_EQ((results[{4, 0}].finish_reason), FinishReason::length);
}

TEST(Engine, ASequenceThatOutgrowsTheCacheEndsWithWhatItHas) {
  EngineConfig config = small_engine_config();
  config.num_gpu_blocks_override = 4;  // 64 positions
  SmallEngine small(config);
  Results& results = small.run(
      {{small_prompt(50), greedy(40)}, {small_prompt(20), greedy(5)}, {small_prompt(70), greedy(5)}});
  EXPECT_EQ((results[{0, 0}].finish_reason), FinishReason::length);
  EXPECT_EQ((results[{0, 0}].error), "");
  EXPECT_EQ((results[{0, 0}].token_ids.size()), 15u) << "what was generated before is kept";
  EXPECT_EQ((results[{1, 0}].token_ids.size()), 5u);
  EXPECT_THAT((results[{2, 0}].error), AllOf(HasSubstr("KV cache"), HasSubstr("70"), HasSubstr("64")));
  EXPECT_EQ(small.engine.stats().free_blocks, 4);
}

TEST(Engine, AbortsAndFinishesOnRequest) {
  SmallEngine small;
  small.on_event = [&](const OutputEvent& event) {
    const auto tokens = small.results[{event.request, event.output}].token_ids.size();
    if (event.request == 0 && tokens == 3 && !event.finished()) small.engine.abort(0);
    if (event.request == 1 && tokens == 5 && !event.finished())
      small.engine.finish(1, 0, FinishReason::stop, 4);
  };
  Results& results =
      small.run({{small_prompt(5), greedy(50)}, {small_prompt(6), greedy(50)}, {small_prompt(7), greedy(8)}});
  EXPECT_EQ((results[{0, 0}].finish_reason), FinishReason::abort);
  EXPECT_EQ((results[{0, 0}].token_ids.size()), 3u);
  EXPECT_EQ((results[{1, 0}].finish_reason), FinishReason::stop);
  EXPECT_EQ((results[{1, 0}].metrics.output_tokens), 4);
  EXPECT_EQ((results[{2, 0}].token_ids.size()), 8u);
  small.engine.abort(2);
  small.engine.abort(77);
  small.engine.run();
  EXPECT_EQ(small.engine.stats().free_blocks, small.engine.memory().num_kv_blocks);
}

TEST(Engine, SeveralOutputsDifferAndTheFirstIsThatOfOne) {
  SamplingParams params{.temperature = 1.5f, .seed = 42, .max_tokens = 12};
  SmallEngine one;
  const std::vector<int32_t> single = one.run({{small_prompt(11), params}})[{0, 0}].token_ids;
  params.n = 4;
  SmallEngine many;
  Results& results = many.run({{small_prompt(11), params}});
  ASSERT_EQ(results.size(), 4u);
  EXPECT_EQ((results[{0, 0}].token_ids), single);
  std::set<std::vector<int32_t>> distinct;
  for (const auto& [key, result] : results) distinct.insert(result.token_ids);
  EXPECT_EQ(distinct.size(), 4u);
}

TEST(Engine, WithoutASeedTheEnginesSeedAndTheNumberDecide) {
  const auto tokens_with = [](uint64_t seed) {
    EngineConfig config = small_engine_config();
    config.seed = seed;
    SmallEngine small(config);
    const SamplingParams params{.temperature = 2, .max_tokens = 12};
    Results& results = small.run({{small_prompt(8), params}, {small_prompt(8), params}});
    EXPECT_NE((results[{0, 0}].token_ids), (results[{1, 0}].token_ids));
    return results[{1, 0}].token_ids;
  };
  EXPECT_EQ(tokens_with(5), tokens_with(5));
  EXPECT_NE(tokens_with(5), tokens_with(9));
}

TEST(Engine, PromptScoresAreTheOnesThatGenerationGave) {
  SamplingParams generate = greedy(24);
  generate.logprobs = 3;
  SmallEngine first;
  const Collected generated = first.run({{small_prompt(30), generate}})[{0, 0}];
  ASSERT_EQ(generated.scores.size(), 24u);

  Request scored{small_prompt(30), greedy(0)};
  scored.prompt_token_ids.insert(scored.prompt_token_ids.end(), generated.token_ids.begin(),
                                 generated.token_ids.end());
  scored.sampling.prompt_logprobs = 3;
  for (int64_t step_tokens : {256, 16}) {
    EngineConfig config = small_engine_config();
    config.max_num_batched_tokens = step_tokens;
    SmallEngine second(config);
    const Collected got = second.run({scored})[{0, 0}];
    EXPECT_EQ(got.finish_reason, FinishReason::length);
    EXPECT_TRUE(got.token_ids.empty());
    ASSERT_EQ(got.prompt_scores.size(), 53u);
    for (size_t i = 0; i < 24; ++i) {
      const TokenScore& score = got.prompt_scores[29 + i];
      EXPECT_EQ(score.token_id, generated.token_ids[i]);
      EXPECT_EQ(score.logprob, generated.scores[i].logprob);
      ASSERT_EQ(score.top.size(), 3u);
      EXPECT_EQ(score.top[0].token_id, generated.token_ids[i]) << "greedy takes the best";
      EXPECT_EQ(score.top[2].logprob, generated.scores[i].top[2].logprob);
    }
  }
}

TEST(Engine, WholeVocabularyLogprobsSumToOne) {
  SmallEngine small;
  SamplingParams params = greedy(2);
  params.logprobs = -1;
  const Collected& got = small.run({{small_prompt(5), params}})[{0, 0}];
  ASSERT_EQ(got.scores[1].top.size(), static_cast<size_t>(kSmallVocab));
  double sum = 0;
  for (const RankedToken& ranked : got.scores[1].top) sum += std::exp(static_cast<double>(ranked.logprob));
  EXPECT_NEAR(sum, 1, 1e-5);
}

TEST(Engine, ATokenMaskSaysWhatMayComeNext) {
  SmallEngine small;
  SamplingParams three = greedy(12);
  three.temperature = 1;
  three.seed = 3;
  three.n = 3;
  const TokenMask spell = [](int32_t output, std::span<const int32_t> tokens, std::span<uint32_t> allowed) {
    std::ranges::fill(allowed, 0);
    const size_t id = 40 * static_cast<size_t>(output + 1) + tokens.size();
    allowed[id / 32] = uint32_t{1} << (id % 32);
  };
  const TokenMask nothing = [](int32_t, std::span<const int32_t> tokens, std::span<uint32_t> allowed) {
    if (tokens.size() == 2) std::ranges::fill(allowed, 0);
  };
  const TokenMask throws = [](int32_t, std::span<const int32_t> tokens, std::span<uint32_t>) {
    if (tokens.size() == 3) throw std::runtime_error("the grammar is at its end");
  };
  Results& results = small.run({masked(small_prompt(12), three, spell),
                                masked(small_prompt(9), greedy(6), nothing),
                                masked(small_prompt(9), greedy(6), throws),
                                {small_prompt(9), greedy(6)},
                                masked(small_prompt(40), greedy(30))});
  for (int32_t output = 0; output < 3; ++output) {
    const Collected& got = results[{0, output}];
    ASSERT_EQ(got.token_ids.size(), 12u);
    for (size_t i = 0; i < 12; ++i) EXPECT_EQ(got.token_ids[i], 40 * (output + 1) + static_cast<int32_t>(i));
  }
  EXPECT_EQ((results[{1, 0}].token_ids.size()), 2u);
  EXPECT_THAT((results[{1, 0}].error),
              testing::HasSubstr("the token mask and the biases forbid every token"));
  EXPECT_EQ((results[{2, 0}].token_ids.size()), 3u);
  EXPECT_EQ((results[{2, 0}].error), "[token mask] the grammar is at its end");
  EXPECT_EQ((results[{3, 0}].token_ids),
            (SmallEngine().run({{small_prompt(9), greedy(6)}})[{0, 0}].token_ids));
  const std::vector<int32_t>& thirds = results[{4, 0}].token_ids;
  ASSERT_EQ(thirds.size(), 30u);
  for (size_t i = 0; i < thirds.size(); ++i) EXPECT_EQ(static_cast<size_t>(thirds[i]) % 3, i % 3);
}

TEST(Engine, BiasBadWordsAndPenaltiesReachTheSampler) {
  SmallEngine small;
  SamplingParams forced = greedy(4), forbidden = greedy(8), varied = greedy(60);
  forced.logit_bias = {{7, 100.0f}};
  const std::vector<int32_t> plain = SmallEngine().run({{small_prompt(12), greedy(8)}})[{0, 0}].token_ids;
  forbidden.bad_words_token_ids = {{plain[0], plain[1]}, {plain[3]}};
  varied.repetition_penalty = 100.0f;
  Results& results =
      small.run({{small_prompt(12), forced}, {small_prompt(12), forbidden}, {small_prompt(12), varied}});
  EXPECT_EQ((results[{0, 0}].token_ids), (std::vector<int32_t>{7, 7, 7, 7}));
  const std::vector<int32_t>& without = results[{1, 0}].token_ids;
  EXPECT_EQ(std::count(without.begin(), without.end(), plain[3]), 0);
  for (size_t i = 0; i + 1 < without.size(); ++i)
    EXPECT_FALSE(without[i] == plain[0] && without[i + 1] == plain[1]);
  const std::vector<int32_t>& all = results[{2, 0}].token_ids;
  EXPECT_EQ(std::set<int32_t>(all.begin(), all.end()).size(), all.size()) << "a token came twice";
}

TEST(Engine, SizesTheCacheByWhatItIsGiven) {
  EngineConfig config = small_engine_config();
  const size_t block = 2 * 2 * 2 * 16 * 16 * sizeof(float);  // k and v, layers, kv heads, positions, dim
  config.kv_cache_memory = 11 * block;
  const MemoryReport memory = SmallEngine(config).engine.memory();
  EXPECT_EQ(memory.kv_block_bytes, block);
  EXPECT_EQ(memory.num_kv_blocks, 10) << "one is the null block";
  EXPECT_EQ(SmallEngine().engine.memory().num_kv_blocks, 8 * 256 / 16) << "no more than can be used";
  EXPECT_GT(memory.arena_bytes, 0u);
  config.kv_cache_memory = block;
  EXPECT_THROW(SmallEngine{config}, Error);
}

TEST(Engine, ATraceHasThePhases) {
  Profiler profiler;
  SmallEngine small;
  small.engine.set_profiler(&profiler);
  small.run({{small_prompt(4), greedy(2)}});
  std::set<std::string> names;
  for (const Profiler::Event& event : profiler.events())
    if (event.layer.empty()) names.emplace(event.name);
  EXPECT_EQ(names, (std::set<std::string>{"admit", "schedule", "plan", "forward", "publish"}));
}

}  // namespace
}  // namespace reprise::engine
